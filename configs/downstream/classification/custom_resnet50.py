# As custom_vit.py, on a frozen ResNet-50.
_base_ = './custom_vit.py'
image_init = 'work_dirs/pretrain_resnet50'
model = dict(
    type='mgca_mm.ResizingClassifier',
    resize_to=299,  # as in pretraining
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ResNet',
        depth=50,
        zero_init_residual=False,  # as torchvision's, where image_init is random
        frozen_stages=4,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint=image_init)),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(in_channels=2048))
