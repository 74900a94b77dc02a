# Masks at 224 x 224 from a prepared folder; a leaf names data_root and classes.
# A share of the training images: train_dataloader.dataset.ann_file=segmentation/subsets/train_1pct_seed42.txt
data_root = 'data/?'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.Resize', scale=(224, 224), keep_ratio=False),
    dict(type='mgca_mm.RandomScaleRotate', scale=0.1, degrees=10, prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.Resize', scale=(224, 224), keep_ratio=False),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.ReproducibleSampler', shuffle=True),
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=data_root,
        ann_file='segmentation/train.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=data_root,
        ann_file='segmentation/val.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='mgca_mm.EvaluationSampler'),
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=data_root,
        ann_file='segmentation/test.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png',
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = [dict(type='mgca_mm.SegmentationLoss'), dict(type='mgca_mm.PerImageDice')]
test_evaluator = [dict(type='mgca_mm.PerImageDice')]
