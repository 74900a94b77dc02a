# Your own boxes (docs/own_labels.md) for the quickstart's ResNet-18; see downstream/detection/custom_vit.py.
_base_ = './detection_rsna.py'
data_root = 'data/custom'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
own_classes = dict()
