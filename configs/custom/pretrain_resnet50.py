# Your own pairs (docs/prepare_data.md#your-own-pairs): MGCA as published, ResNet-50.
_base_ = '../mgca/pretrain_resnet50.py'
data_root = 'data/custom'
