# pretrain_vit.py for one GPU: bfloat16, compiled, crops on the device. The same method.
_base_ = './pretrain_vit.py'
tokenize = {{_base_.tokenize}}
pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    tokenize,
    dict(type='PackImageReportInputs'),
]
model = dict(
    data_preprocessor=dict(crop_size=224),
    # For fused epilogues of matrix products, after some minutes of tuning: mode='max-autotune-no-cudagraphs'.
    compile=dict(backend='inductor', dynamic=False))
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = dict(dataset=dict(pipeline=pipeline))
optim_wrapper = dict(type='BFloat16OptimWrapper')
