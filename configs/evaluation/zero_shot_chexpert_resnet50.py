# The same as zero_shot_chexpert_vit.py for a checkpoint of mgca/pretrain_resnet50.py.
_base_ = './zero_shot_chexpert_vit.py'
model = dict(
    image_encoder=dict(
        resize_to=299, backbone=dict(_delete_=True, type='mmpretrain.ResNet', depth=50, out_indices=(2, 3))))
