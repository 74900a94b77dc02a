# The authors' released code, ResNet-50; unlike the ViT it normalizes the contexts of both modalities.
_base_ = './released_vit.py'
image_init = 'torchvision://resnet50'
model = dict(
    image_encoder=dict(
        resize_to=299,
        backbone=dict(
            _delete_=True,
            type='mmpretrain.ResNet',
            depth=50,
            out_indices=(2, 3),
            init_cfg=dict(type='Pretrained', checkpoint=image_init))),
    alignments=dict(cta=dict(normalize_contexts=('image', 'text'))))
