# Your own boxes (docs/own_labels.md) for the quickstart's ResNet-18; see downstream/detection/custom_vit.py.
_base_ = './detection_rsna.py'
data_root = 'data/custom'
metainfo = dict(classes=())  # those of data_root, once it is read
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
own_classes = dict()
