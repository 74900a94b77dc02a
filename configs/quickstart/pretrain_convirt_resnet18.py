# ConVIRT, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/convirt.py']
model = {{_base_.method}}
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='mmpretrain.RandomResizedCrop', scale=112, crop_ratio_range=(0.6, 1.0)),
    {{_base_.augment}},
    dict(type='SampleSentence'),
    dict(type='TokenizeReport', max_length={{_base_.max_length}}),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
