# MedCLIP, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/medclip.py']
model = {{_base_.method}}
