# The same as retrieval_mimic_cxr5x200_vit.py for a checkpoint of mgca/pretrain_resnet50.py.
_base_ = './retrieval_mimic_cxr5x200_vit.py'
model = dict(
    image_encoder=dict(
        resize_to=299, backbone=dict(_delete_=True, type='mmpretrain.ResNet', depth=50, out_indices=(2, 3))))
