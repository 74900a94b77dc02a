# SIIM-ACR, pneumothorax: U-Net decoder on a frozen ViT-B/16.
_base_ = [
    '../../_base_/models/unet_vit.py',
    '../../_base_/datasets/segmentation.py',
    '../../_base_/schedules/segmentation_50e.py',
]
data_root = 'data/siim_pneumothorax'
metainfo = dict(classes=('background', 'pneumothorax'))
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
auto_scale_lr = dict(base_batch_size=8)
