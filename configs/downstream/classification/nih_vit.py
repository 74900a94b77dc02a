# NIH ChestX-ray14, 14 labels: linear layer on a frozen ViT-B/16; not in the paper.
_base_ = [
    '../../_base_/models/linear_vit.py',
    '../../_base_/datasets/classification.py',
    '../../_base_/schedules/classification_50e.py',
]
data_root = 'data/nih_chestxray14'
model = dict(head=dict(num_classes=14))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
