# Test pairs of the quickstart that show one finding and nothing else, at most 20 of each: precision@k between images and
# reports. Lung Opacity is the group that atelectasis, consolidation, edema and pneumonia belong to.
_base_ = './pretrain_resnet18.py'
classes = [
    'Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Lung Lesion', 'Pleural Effusion', 'Pneumonia',
    'Pneumothorax', 'Support Devices',
]
pair_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='CenterCrop', crop_size=112),
    dict(type='TokenizeReport', max_length=80),
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'study_id', 'gt_label')),
]
test_dataloader = dict(
    dataset=dict(classes=classes, per_class=20, groups=['Lung Opacity'], pipeline=pair_pipeline))
test_evaluator = [dict(type='ClassRetrieval', topk=(5, 10))]
