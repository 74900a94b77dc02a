# AdamW at a constant rate, up to 50 epochs.
max_epochs = 50
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mgca_mm.MergedGroupsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-6))
param_scheduler = []
train_cfg = dict(type='mgca_mm.ResumableTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
