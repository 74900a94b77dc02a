# MedCLIP, ResNet-50; data, encoders and schedule are those of configs/mgca/pretrain_resnet50.py.
_base_ = ['../mgca/pretrain_resnet50.py', '../_base_/methods/medclip.py']
model = {{_base_.method}}
