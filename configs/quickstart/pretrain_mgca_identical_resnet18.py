# MGCA without the false negatives of identical reports, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/mgca_identical.py']
model = {{_base_.method}}
