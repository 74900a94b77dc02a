# Your own labels (docs/own_labels.md): linear layer on a frozen ViT-B/16, the classes those of the prepared folder.
_base_ = [
    '../../_base_/models/linear_vit.py',
    '../../_base_/datasets/classification.py',
    '../../_base_/datasets/own_labels.py',
    '../../_base_/schedules/classification_50e.py',
]
data_root = 'data/custom'
model = dict(head=dict(num_classes=1))  # as many as data_root has, once it is read
labels = dict(data_root=data_root, uncertain=0)  # what an uncertain label (-1) counts as
train_dataloader = dict(dataset=labels)
val_dataloader = dict(dataset=labels)
test_dataloader = dict(dataset=labels)
