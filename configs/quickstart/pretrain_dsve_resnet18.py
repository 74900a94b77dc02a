# DSVE, small, on the phantom: the last map has 4 x 4 regions.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/dsve.py']
model = dict(
    image_encoder=dict(pooling=dict(type='WeldonPooling', out_channels=512, num_regions=4)),
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    alignments={{_base_.method.alignments}})
