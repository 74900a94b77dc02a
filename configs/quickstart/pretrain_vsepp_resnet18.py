# VSE++, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/vsepp.py']
model = {{_base_.method}}
