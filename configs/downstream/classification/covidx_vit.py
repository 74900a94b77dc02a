# COVIDx, normal, pneumonia or COVID-19: linear layer on a frozen ViT-B/16.
_base_ = [
    '../../_base_/models/linear_vit.py',
    '../../_base_/datasets/classification.py',
    '../../_base_/schedules/classification_50e.py',
]
data_root = 'data/covidx'
model = dict(head=dict(_delete_=True, type='mmpretrain.LinearClsHead', in_channels=768, num_classes=3))
train_dataloader = dict(dataset=dict(data_root=data_root, exclusive=True))
val_dataloader = dict(dataset=dict(data_root=data_root, exclusive=True))
test_dataloader = dict(dataset=dict(data_root=data_root, exclusive=True))
val_evaluator = [dict(type='mgca_mm.ClassificationLoss', multi_label=False), dict(type='mgca_mm.Top1Accuracy')]
test_evaluator = [dict(type='mgca_mm.Top1Accuracy', num_bootstrap=1000)]
