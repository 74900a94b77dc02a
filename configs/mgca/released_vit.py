# The authors' released code, ViT-B/16: two GPUs with 72 pairs each, decay on everything, fp32, early stopping on the
# validation and test pairs together.
_base_ = [
    '../_base_/models/released_mgca_vit.py',
    '../_base_/datasets/image_report.py',
    '../_base_/schedules/mgca_50e.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=72)
val_dataloader = dict(
    batch_size=72,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys=['split'],
        # Prepared with --protocol released, the test pairs stand in val.json already.
        datasets=[_base_.val_dataloader.dataset, dict(_base_.test_dataloader.dataset, allow_empty=True)]))
optim_wrapper = dict(paramwise_cfg=None)
custom_hooks = [
    dict(type='FreezePrototypesHook', num_epochs=1),
    dict(type='ThroughputHook'),
    dict(type='EarlyStoppingHook', monitor='loss', rule='less', patience=5, min_delta=0),
]
