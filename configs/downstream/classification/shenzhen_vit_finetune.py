# The same with the encoder trained along, at a tenth of the rate; not in the paper.
_base_ = './shenzhen_vit.py'
model = dict(backbone=dict(frozen_stages=-1))
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=0.05), paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
