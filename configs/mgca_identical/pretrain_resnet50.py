# MGCA without the false negatives of identical reports, ResNet-50; data, encoders and schedule are those of configs/mgca/pretrain_resnet50.py.
_base_ = ['../mgca/pretrain_resnet50.py', '../_base_/methods/mgca_identical.py']
model = {{_base_.method}}
train_dataloader = dict(sampler=dict(type='mgca_mm.StudySampler'))
