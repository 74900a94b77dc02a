# MGCA without the false negatives of identical reports, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/mgca_identical.py']
model = {{_base_.method}}
train_dataloader = dict(sampler=dict(type='mgca_mm.StudySampler'))
