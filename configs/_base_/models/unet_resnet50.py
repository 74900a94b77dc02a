# A U-Net decoder on a frozen ResNet-50: skips from stages 3, 2, 1 and the stem.
image_init = 'work_dirs/pretrain_resnet50'
model = dict(
    _scope_='mmseg',  # also as mgca_mm::…, which would be marked by our name
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(type='mmseg.SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, size=(224, 224)),
    backbone=dict(
        type='mgca_mm.ResNetWithStem',
        depth=50,
        out_indices=(0, 1, 2, 3),
        zero_init_residual=False,  # as torchvision's, where image_init is random
        frozen_stages=4,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint=image_init)),
    decode_head=dict(
        type='mgca_mm.UNetHead',
        in_channels=(64, 256, 512, 1024, 2048),
        channels=(256, 128, 64, 32, 16),
        loss=dict(type='mgca_mm.FocalLogDiceLoss', focal_weight=10.0, gamma=2.0, smooth=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
