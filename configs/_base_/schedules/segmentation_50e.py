# Early stopping and the best checkpoint by the validation loss.
_base_ = ['./frozen_50e.py', '../default_runtime.py']
default_scope = 'mmseg'
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='seg/loss', rule='less'))
custom_hooks = [
    dict(type='mgca_mm.ThroughputHook'),
    dict(type='EarlyStoppingHook', monitor='seg/loss', rule='less', patience=10, min_delta=0),
]
auto_scale_lr = dict(base_batch_size=16, enable=False)
