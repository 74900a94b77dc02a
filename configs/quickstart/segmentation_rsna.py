# The segmentation of rsna for the quickstart's ResNet-18, small, at 128 x 128.
_base_ = '../downstream/segmentation/rsna_resnet50.py'
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(depth=18),
    decode_head=dict(in_channels=(64, 64, 128, 256, 512), channels=(128, 64, 32, 16, 8)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.Resize', scale=(128, 128), keep_ratio=False),
    dict(type='mgca_mm.RandomScaleRotate', scale=0.1, degrees=10, prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.Resize', scale=(128, 128), keep_ratio=False),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(type='mgca_mm.BFloat16OptimWrapper')
# As many iterations for 1 % of the images as for all; MMEngine would wait two seconds after each pass over the images
# without the endless sampler.
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=240, val_interval=60)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=240))
log_processor = dict(by_epoch=False)
