# YOLOv3 on a frozen ViT-B/16 by a simple feature pyramid.
_base_ = './yolov3_resnet50.py'
image_init = 'work_dirs/pretrain_vit'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mgca_mm.ViTPyramid',
        strides=(8, 16, 32),
        out_channels=(128, 256, 512),
        vit=dict(
            type='mmpretrain.VisionTransformer',
            arch='deit-base',
            img_size=224,
            patch_size=16,
            out_type='featmap',
            frozen_stages=12,
            init_cfg=dict(type='Pretrained', checkpoint=image_init))),
    neck=dict(in_channels=[512, 256, 128]))
