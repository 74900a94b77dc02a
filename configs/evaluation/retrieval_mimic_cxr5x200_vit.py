# 200 pairs of MIMIC-CXR for each of five labels, all others negative or not mentioned (No Finding aside): precision@k
# between images and reports. The test split may have fewer; the log says how many. test_dataloader.dataset.ann_file=train.json has
# enough, but only a model that was not trained on it is judged fairly.
_base_ = '../mgca/pretrain_vit.py'
classes = ['Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion']
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='CenterCrop', crop_size=224),
    {{_base_.tokenize}},
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'study_id', 'gt_label')),
]
test_dataloader = dict(dataset=dict(classes=classes, per_class=200, pipeline=test_pipeline))
test_evaluator = [dict(type='ClassRetrieval', topk=(5, 10, 100))]
