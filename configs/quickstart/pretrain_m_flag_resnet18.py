# M-FLAG, small, on the phantom. The quickstart has no pretrained text encoder: what is frozen here are random weights,
# which map reports to fixed random features of their words.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/m_flag.py']
model = {{_base_.method}}
