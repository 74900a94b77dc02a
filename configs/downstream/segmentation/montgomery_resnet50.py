# Montgomery County, lungs: U-Net decoder on a frozen ResNet-50.
_base_ = './rsna_resnet50.py'
data_root = 'data/montgomery'
metainfo = dict(classes=('background', 'lung'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
