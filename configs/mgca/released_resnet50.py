# The authors' released code, ResNet-50: two GPUs with 72 pairs each, decay on everything, early stopping, fp32.
_base_ = [
    '../_base_/models/released_mgca_resnet50.py',
    '../_base_/datasets/image_report.py',
    '../_base_/schedules/mgca_50e.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=72)
val_dataloader = dict(batch_size=72)
optim_wrapper = dict(paramwise_cfg=None)
custom_hooks = [
    dict(type='FreezePrototypesHook', num_epochs=1),
    dict(type='ThroughputHook'),
    dict(type='EarlyStoppingHook', monitor='loss', rule='less', patience=5),
]
