# NIH ChestX-ray14, eight findings: YOLOv3 on a frozen ResNet-50; not in the paper.
_base_ = [
    '../../_base_/models/yolov3_resnet50.py',
    '../../_base_/datasets/detection.py',
    '../../_base_/schedules/detection_50e.py',
]
data_root = 'data/nih_chestxray14'
model = dict(bbox_head=dict(num_classes=8))
metainfo = dict(
    classes=(
        'Atelectasis', 'Cardiomegaly', 'Effusion', 'Infiltration', 'Mass', 'Nodule', 'Pneumonia', 'Pneumothorax'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
