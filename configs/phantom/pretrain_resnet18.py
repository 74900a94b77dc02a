# MGCA on made radiographs, for real ones (README.md beside this): the quickstart's model on more patients, for two CPU cores.
_base_ = '../quickstart/pretrain_resnet18.py'
data_root = 'data/phantom'
max_epochs = 8
# Whole images, larger than in the training, for the lungs of real ones fill more of the picture.
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=160),
    dict(type='TokenizeReport', max_length=80),
    dict(type='PackImageReportInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
train_cfg = dict(val_interval=4)
