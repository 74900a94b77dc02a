# MedCLIP, ResNet-50; data, encoders and schedule are those of configs/mgca/pretrain_resnet50.py.
_base_ = ['../mgca/pretrain_resnet50.py', '../_base_/methods/medclip.py']
model = {{_base_.method}}
train_pipeline = [dict(type='EncodeLabels'), *_base_.train_pipeline]
test_pipeline = [dict(type='EncodeLabels'), *_base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
