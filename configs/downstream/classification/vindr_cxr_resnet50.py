# VinDr-CXR, 28 labels: linear layer on a frozen ResNet-50.
_base_ = './rsna_resnet50.py'
data_root = 'data/vindr_cxr'
model = dict(head=dict(num_classes=28))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
