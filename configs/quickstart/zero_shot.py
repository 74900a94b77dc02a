# The quickstart's test images, scored by sentences instead of training, and images found by them.
_base_ = './pretrain_resnet18.py'
data_root = 'data/quickstart'
classes = [
    'Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Lung Lesion', 'Pleural Effusion', 'Pneumonia',
    'Pneumothorax', 'Support Devices',
]
model = dict(
    type='ZeroShotClassifier',
    findings=classes,
    tokenize=dict(type='TokenizeReport', max_length=80),
    data_root=data_root)
image_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='CenterCrop', crop_size=112),
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'gt_label')),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ChestXrayDataset',
        data_root=data_root,
        ann_file='test.json',
        classes=classes,
        test_mode=True,
        pipeline=image_pipeline))
test_evaluator = [dict(type='AUROC', num_bootstrap=1000)]
