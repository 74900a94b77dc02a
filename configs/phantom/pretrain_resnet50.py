# The same for one GPU: ResNet-50 at 224 x 224, a 4-layer BERT, larger batches.
_base_ = './pretrain_resnet18.py'
max_epochs = 20
max_length = 112
model = dict(
    image_encoder=dict(input_size=224, backbone=dict(depth=50)),
    text_encoder=dict(
        max_length=max_length,
        config=dict(hidden_size=384, num_hidden_layers=4, num_attention_heads=6, intermediate_size=1536)),
    projector=dict(hidden_channels=2048),
    alignments=dict(cpa=dict(num_prototypes=256)))
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='mmpretrain.RandomCrop', crop_size=224),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=320),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(batch_size=256, num_workers=12, pin_memory=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=128, num_workers=4, pin_memory=True, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=128, num_workers=4, pin_memory=True, dataset=dict(pipeline=test_pipeline))
auto_scale_lr = dict(base_batch_size=256)
