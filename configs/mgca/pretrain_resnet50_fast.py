# pretrain_resnet50.py for one GPU, by the means of pretrain_vit_fast.py, with maps laid out as (B, H, W, C). The same
# method.
_base_ = './pretrain_vit_fast.py'
image_init = 'torchvision://resnet50'
model = dict(
    image_encoder=dict(
        resize_to=299,
        channels_last=True,
        backbone=dict(
            _delete_=True,
            type='mmpretrain.ResNet',
            depth=50,
            out_indices=(2, 3),
            init_cfg=dict(type='Pretrained', checkpoint=image_init))))
