# MGCA as published, ResNet-50. Change data_root, text_model and image_init here or by --cfg-options.
_base_ = [
    '../_base_/models/mgca_resnet50.py',
    '../_base_/datasets/image_report.py',
    '../_base_/schedules/mgca_50e.py',
    '../_base_/default_runtime.py',
]
