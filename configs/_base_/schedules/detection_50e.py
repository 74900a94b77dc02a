# Early stopping and the best checkpoint by the validation mAP.
_base_ = ['./frozen_50e.py', '../default_runtime.py']
default_scope = 'mmdet'
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='det/mAP', rule='greater'))
custom_hooks = [
    dict(type='mgca_mm.ThroughputHook'),
    dict(type='EarlyStoppingHook', monitor='det/mAP', rule='greater', patience=10, min_delta=0),
]
auto_scale_lr = dict(base_batch_size=16, enable=False)
