# The two lungs on covid-chestxray, small: YOLOv3 on the quickstart's ResNet-18.
_base_ = './detection_rsna.py'
data_root = 'data/covid_chestxray'
metainfo = dict(classes=('Right Lung', 'Left Lung'))
model = dict(bbox_head=dict(num_classes=2))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
