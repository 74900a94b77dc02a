# One linear layer on a frozen ViT-B/16. image_init: a run's folder (its best checkpoint is taken), a
# checkpoint of ours or of mmpretrain, or random.
image_init = 'work_dirs/pretrain_vit'
model = dict(
    _scope_='mmpretrain',  # also as mgca_mm::…, which would be marked by our name
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='deit-base',
        img_size=224,
        patch_size=16,
        out_type='cls_token',
        frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint=image_init)),
    head=dict(type='mmpretrain.MultiLabelLinearClsHead', in_channels=768))
