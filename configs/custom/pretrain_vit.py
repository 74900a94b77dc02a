# Your own pairs (docs/prepare_data.md#your-own-pairs): MGCA as published, ViT-B/16.
_base_ = '../mgca/pretrain_vit.py'
data_root = 'data/custom'
