# Shenzhen, lungs: U-Net decoder on a frozen ViT-B/16.
_base_ = './rsna_vit.py'
data_root = 'data/shenzhen'
metainfo = dict(classes=('background', 'lung'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
