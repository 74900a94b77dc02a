# ConVIRT, ViT-B/16; encoders and schedule are those of configs/mgca/pretrain_vit.py.
_base_ = ['../mgca/pretrain_vit.py', '../_base_/methods/convirt.py']
model = {{_base_.method}}
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='mmpretrain.RandomResizedCrop', scale=224, crop_ratio_range=(0.6, 1.0)),
    {{_base_.augment}},
    dict(type='SampleSentence'),
    {{_base_.tokenize}},
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
