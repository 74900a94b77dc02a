# Your own masks (docs/own_labels.md): U-Net decoder on a frozen ResNet-50, the classes those of the prepared folder.
_base_ = [
    '../../_base_/models/unet_resnet50.py',
    '../../_base_/datasets/segmentation.py',
    '../../_base_/datasets/own_masks.py',
    '../../_base_/schedules/segmentation_50e.py',
]
data_root = 'data/custom'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
