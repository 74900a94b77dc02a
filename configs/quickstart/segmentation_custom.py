# Your own masks (docs/own_labels.md) for the quickstart's ResNet-18; see downstream/segmentation/custom_vit.py.
_base_ = ['./segmentation_rsna.py', '../_base_/datasets/own_masks.py']
data_root = 'data/custom'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
