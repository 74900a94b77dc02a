# AdamW, warm-up over 20 of 50 epochs, then cosine.
max_epochs = 50  # the schedule follows, also from the command line: --cfg-options max_epochs=10
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mgca_mm.MergedGroupsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.05, betas=(0.9, 0.999), fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            'prototypes': dict(decay_mult=0.0),
            'projector.norm': dict(decay_mult=0.0),
            'log_temperature': dict(decay_mult=0.0)
        }))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-8 / 2e-5,
        begin=0,
        end=20,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - 20,
        eta_min=1e-8,
        begin=20,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(type='mgca_mm.ResumableTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(base_batch_size=144, enable=False)
