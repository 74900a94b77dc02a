# Shenzhen, tuberculosis: linear layer on a frozen ViT-B/16.
_base_ = './rsna_vit.py'
data_root = 'data/shenzhen'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
