# The detection of object_cxr for the quickstart's ResNet-18, small, at 128 x 128.
_base_ = '../downstream/detection/object_cxr_resnet50.py'
anchor_scale = 128 / 416
model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[512, 256, 128], out_channels=[128, 64, 32]),
    bbox_head=dict(
        in_channels=[128, 64, 32],
        out_channels=[256, 128, 64],
        anchor_generator=dict(
            base_sizes=[[(w * anchor_scale, h * anchor_scale) for w, h in level]
                        for level in ([(116, 90), (156, 198), (373, 326)], [(30, 61), (62, 45), (59, 119)],
                                      [(10, 13), (16, 30), (33, 23)])])))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=False),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=False),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
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
