# The lungs on covid-chestxray, small: U-Net decoder on the quickstart's ResNet-18.
_base_ = './segmentation_rsna.py'
data_root = 'data/covid_chestxray'
metainfo = dict(classes=('background', 'lung'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
