# SigLIP + captioning, and sentences that name a location written from there, small, on the phantom.
_base_ = './pretrain_siglip_caption_resnet18.py'
model = dict(alignments=dict(caption=dict(type='LocationCaptioningAlignment')))
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='mmpretrain.RandomCrop', crop_size=112),
    dict(type='TokenizeReport', max_length={{_base_.max_length}}),
    dict(type='TokenizeLocation', max_length=32),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
