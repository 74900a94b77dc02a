# Labeled radiographs at 224 x 224 from a prepared folder; a leaf names data_root and classes.
# A share of the training images: train_dataloader.dataset.subset=subsets/train_1pct_seed42.txt
data_root = 'data/?'
train_pipeline = [
    dict(type='mgca_mm.LoadRadiograph', channels=3),
    dict(type='mmpretrain.Resize', scale=(256, 256), interpolation='area'),  # of other sizes than 256
    dict(type='mmpretrain.RandomCrop', crop_size=224),
    dict(type='mmpretrain.PackInputs'),
]
test_pipeline = [
    dict(type='mgca_mm.LoadRadiograph', channels=3),
    dict(type='mmpretrain.Resize', scale=(256, 256), interpolation='area'),  # of other sizes than 256
    dict(type='mmpretrain.CenterCrop', crop_size=224),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(
    batch_size=48,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mgca_mm.ReproducibleSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mgca_mm.ChestXrayDataset', data_root=data_root, ann_file='train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=48,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mgca_mm.ChestXrayDataset',
        data_root=data_root,
        ann_file='val.json',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=48,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mgca_mm.ChestXrayDataset',
        data_root=data_root,
        ann_file='test.json',
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = [dict(type='mgca_mm.ClassificationLoss', multi_label=True), dict(type='mgca_mm.AUROC')]
test_evaluator = [dict(type='mgca_mm.AUROC', num_bootstrap=1000)]
