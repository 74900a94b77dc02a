# MGCA on made radiographs, for real ones (README.md beside this): the quickstart's model on more and more varied patients,
# for two CPU cores.
_base_ = '../quickstart/pretrain_resnet18.py'
data_root = 'data/phantom'
max_epochs = 8
max_length = 80
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='mmpretrain.RandomCrop', crop_size=112),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
# Whole images, larger than in the training, for the lungs of real ones fill more of the picture.
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=160),
    dict(type='TokenizeReport', max_length=max_length),
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
train_cfg = dict(val_interval=4)
