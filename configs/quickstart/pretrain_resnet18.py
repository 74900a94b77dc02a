# The same MGCA, small, on the phantom: ResNet-18 at 112 x 112 and a 2-layer BERT, both from random weights.
_base_ = [
    '../_base_/models/mgca_resnet50.py',
    '../_base_/datasets/image_report.py',
    '../_base_/schedules/mgca_50e.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/quickstart'
max_epochs = 6
max_length = 80
model = dict(
    image_encoder=dict(
        resize_to=None,
        input_size=112,
        channels_last=True,
        # PyTorch's own initialization instead of mmpretrain's (Kaiming, last norms at zero), which learns more slowly in
        # so short a run.
        backbone=dict(
            _delete_=True, type='mmpretrain.ResNet', depth=18, out_indices=(2, 3), zero_init_residual=False,
            init_cfg=None)),
    text_encoder=dict(
        _delete_=True,
        type='TextEncoder',
        max_length=max_length,
        config=dict(
            model_type='bert',
            vocab_size=2000,
            hidden_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=768,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0)),
    projector=dict(hidden_channels=512),
    alignments=dict(cpa=dict(num_prototypes=64)))
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='mmpretrain.RandomCrop', crop_size=112),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='CenterCrop', crop_size=112),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(
    batch_size=64, num_workers=1, pin_memory=False, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64, num_workers=1, pin_memory=False, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=64, num_workers=1, pin_memory=False, dataset=dict(data_root=data_root, pipeline=test_pipeline))
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - 1,
        begin=1,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(logger=dict(interval=10))
log_processor = dict(window_size=10)
