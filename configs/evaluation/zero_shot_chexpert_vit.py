# CheXpert's expert-labeled images, five labels, scored by sentences; test it with a checkpoint of mgca/pretrain_vit.py.
_base_ = '../mgca/pretrain_vit.py'
data_root = 'data/chexpert'
classes = ['Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion']
model = dict(
    type='ZeroShotClassifier', findings=classes, tokenize={{_base_.tokenize}}, data_root=data_root)
image_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'gt_label')),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ChestXrayDataset',
        data_root=data_root,
        ann_file='test.json',
        classes=classes,
        uncertain=dict.fromkeys(classes, 0),
        test_mode=True,
        pipeline=image_pipeline))
test_evaluator = [dict(type='AUROC', num_bootstrap=1000)]
