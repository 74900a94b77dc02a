# RSNA Pneumonia, lung opacities: YOLOv3 on a frozen ResNet-50. With 1 % of the images the paper takes lr 2e-4, batch 8.
_base_ = [
    '../../_base_/models/yolov3_resnet50.py',
    '../../_base_/datasets/detection.py',
    '../../_base_/schedules/detection_50e.py',
]
data_root = 'data/rsna_pneumonia'
metainfo = dict(classes=('Lung Opacity', ))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
