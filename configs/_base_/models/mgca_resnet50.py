# MGCA with ResNet-50 (docs/protocol.md#model): tokens of stage 3 (1024 x 19 x 19), global feature of stage 4, from 299 x 299.
_base_ = './mgca_vit.py'
image_init = 'torchvision://resnet50'
model = dict(
    image_encoder=dict(
        resize_to=299,
        backbone=dict(
            _delete_=True,
            type='mmpretrain.ResNet',
            depth=50,
            out_indices=(2, 3),
            init_cfg=dict(type='Pretrained', checkpoint=image_init))))
