# The linear classification of rsna for the quickstart's ResNet-18, small, at 112 x 112 from images of 128 x 128.
_base_ = '../downstream/classification/rsna_resnet50.py'
model = dict(resize_to=None, backbone=dict(depth=18), head=dict(in_channels=512))
test_pipeline = [
    dict(type='mgca_mm.LoadRadiograph', channels=3),
    dict(type='mmpretrain.Resize', scale=(128, 128), interpolation='area'),
    dict(type='mmpretrain.CenterCrop', crop_size=112),
    dict(type='mmpretrain.PackInputs'),
]
# Without augmentation, so that images can be encoded once: custom_hooks.0.folder=DIR
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=test_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-3))
# As many iterations for 1 % of the images as for all; MMEngine would wait two seconds after each pass over the images
# without the endless sampler.
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=600, val_interval=20)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=600))
log_processor = dict(by_epoch=False)
