# Your own boxes (docs/own_labels.md): YOLOv3 on a frozen ResNet-50, the classes those of the prepared folder.
_base_ = [
    '../../_base_/models/yolov3_resnet50.py',
    '../../_base_/datasets/detection.py',
    '../../_base_/schedules/detection_50e.py',
]
data_root = 'data/custom'
metainfo = dict(classes=())  # those of data_root, once it is read
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
own_classes = dict()
