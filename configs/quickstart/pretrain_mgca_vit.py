# MGCA with a ViT, small, on the phantom: four layers, patches of 16 x 16, from random weights.
_base_ = './pretrain_resnet18.py'
model = dict(
    image_encoder=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=192, num_layers=4, num_heads=3, feedforward_channels=768),
            img_size=112,
            patch_size=16,
            out_type='raw')))
