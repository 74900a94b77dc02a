# Image-report pairs at 224 x 224 from a prepared folder.
data_root = 'data/mimic_cxr'
# The text encoder's own vocabulary; None takes the one that prepare_data.py has trained.
tokenize = dict(type='TokenizeReport', tokenizer='emilyalsentzer/Bio_ClinicalBERT', max_length=112)
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='mmpretrain.RandomCrop', crop_size=224),
    tokenize,
    dict(type='PackImageReportInputs'),
]
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='CenterCrop', crop_size=224),
    tokenize,
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(
    batch_size=144,  # the total batch of the paper: --total-batch 144 divides it among the GPUs
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='mgca_mm.ReproducibleSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ImageReportDataset', data_root=data_root, ann_file='train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=144,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageReportDataset', data_root=data_root, ann_file='val.json', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=144,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageReportDataset', data_root=data_root, ann_file='test.json', test_mode=True, pipeline=test_pipeline))
val_evaluator = [dict(type='AlignmentLoss'), dict(type='ImageReportRetrieval', topk=(1, 5, 10))]
test_evaluator = val_evaluator
