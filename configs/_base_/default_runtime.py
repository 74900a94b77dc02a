default_scope = 'mgca_mm'
runner_type = 'mgca_mm.PrivateRunner'  # which the programs of mmpretrain, mmdet and mmseg follow
custom_hooks = [dict(type='FreezePrototypesHook', num_epochs=1), dict(type='ThroughputHook')]
default_hooks = dict(
    runtime_info=dict(type='mgca_mm.DeferredRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='loss', rule='less'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Our runner adds the rest to every config, also to one of another library.
    step_seed=dict(type='mgca_mm.StepSeedHook'),
    shared_buffers=dict(type='mgca_mm.SharedBuffersHook'),
    verify_pretrained=dict(type='mgca_mm.VerifyPretrainedHook'),
    waiting_gradients=dict(type='mgca_mm.WaitingGradientsHook'),
    non_finite=dict(type='mgca_mm.NonFiniteGuardHook'),
    broken_samples=dict(type='mgca_mm.BrokenSamplesHook'),
    plain_checkpoint=dict(type='mgca_mm.PlainCheckpointHook'),
    progress=dict(type='mgca_mm.ProgressHook'),
    termination=dict(type='mgca_mm.TerminationHook'))
env_cfg = dict(
    cudnn_benchmark=True,
    float32_matmul_precision='high',  # TF32 for what is fp32 on a GPU; 'highest' for true fp32
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# TensorBoard and W&B by one line:
# visualizer = dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend'), dict(type='WandbVisBackend')])
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(window_size=50)
log_level = 'INFO'
randomness = dict(seed=42)
load_from = None
resume = False
