# Contrastive-Binary, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/contrastive_binary.py']
model = {{_base_.method}}
