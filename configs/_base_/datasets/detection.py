# Boxes at 224 x 224 from a prepared folder; a leaf names data_root and classes.
# A share of the training images: train_dataloader.dataset.ann_file=detection/subsets/train_1pct_seed42.json
data_root = 'data/?'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.Resize', scale=(224, 224), keep_ratio=False),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(224, 224), keep_ratio=False),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.ReproducibleSampler', shuffle=True),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        ann_file='detection/train.json',
        data_prefix=dict(img='images/'),
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        ann_file='detection/val.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        ann_file='detection/test.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = dict(type='mgca_mm.DetectionMAP')
test_evaluator = val_evaluator
