# The segmentation of siim for the quickstart's ResNet-18, small, at 128 x 128.
_base_ = './segmentation_rsna.py'
data_root = 'data/siim_pneumothorax'
metainfo = dict(classes=('background', 'pneumothorax'))
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
auto_scale_lr = dict(base_batch_size=8)
