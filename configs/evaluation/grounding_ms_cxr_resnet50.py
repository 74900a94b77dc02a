# The same as grounding_ms_cxr_vit.py for a checkpoint of mgca/pretrain_resnet50.py.
_base_ = './grounding_ms_cxr_vit.py'
model = dict(
    image_encoder=dict(
        resize_to=299, backbone=dict(_delete_=True, type='mmpretrain.ResNet', depth=50, out_indices=(2, 3))))
