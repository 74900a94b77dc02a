# The linear classification of covidx for the quickstart's ResNet-18; see downstream/classification/covidx_vit.py.
_base_ = './classification_rsna.py'
data_root = 'data/covidx'
model = dict(head=dict(_delete_=True, type='mmpretrain.LinearClsHead', in_channels=512, num_classes=3))
labels = dict(data_root=data_root, exclusive=True)
train_dataloader = dict(dataset=labels)
val_dataloader = dict(dataset=labels)
test_dataloader = dict(dataset=labels)
val_evaluator = [dict(type='mgca_mm.ClassificationLoss', multi_label=False), dict(type='mgca_mm.Top1Accuracy')]
test_evaluator = [dict(type='mgca_mm.Top1Accuracy', num_bootstrap=1000)]
