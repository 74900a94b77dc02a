# Your own labels (docs/own_labels.md) for the quickstart's ResNet-18; see downstream/classification/custom_vit.py.
_base_ = ['./classification_rsna.py', '../_base_/datasets/own_labels.py']
data_root = 'data/custom'
labels = dict(data_root=data_root, uncertain=0)
train_dataloader = dict(dataset=labels)
val_dataloader = dict(dataset=labels)
test_dataloader = dict(dataset=labels)
