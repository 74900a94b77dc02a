# Early stopping and the best checkpoint by the validation loss.
_base_ = ['./frozen_50e.py', '../default_runtime.py']
default_scope = 'mmpretrain'
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='cls/loss', rule='less'))
custom_hooks = [
    # custom_hooks.0.folder=DIR encodes each image once and trains on the features, without augmentation.
    dict(type='mgca_mm.CachedFeaturesHook', folder=None),
    dict(type='mgca_mm.ThroughputHook'),
    dict(type='EarlyStoppingHook', monitor='cls/loss', rule='less', patience=10, min_delta=0),
]
auto_scale_lr = dict(base_batch_size=48, enable=False)
