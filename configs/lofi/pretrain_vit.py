# SigLIP + captioning, and sentences that name a location written from there, ViT-B/16.
_base_ = '../siglip_caption/pretrain_vit.py'
model = dict(alignments=dict(caption=dict(type='LocationCaptioningAlignment')))
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='mmpretrain.RandomCrop', crop_size=224),
    {{_base_.tokenize}},
    dict(type='TokenizeLocation', tokenizer='emilyalsentzer/Bio_ClinicalBERT', max_length=32),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
