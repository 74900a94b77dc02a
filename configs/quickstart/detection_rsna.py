# The detection of rsna for the quickstart's ResNet-18, small, at 128 x 128.
_base_ = './detection_object_cxr.py'
data_root = 'data/rsna_pneumonia'
metainfo = dict(classes=('Lung Opacity', ))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
