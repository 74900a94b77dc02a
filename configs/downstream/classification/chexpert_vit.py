# CheXpert, five labels: linear layer on a frozen ViT-B/16.
_base_ = [
    '../../_base_/models/linear_vit.py',
    '../../_base_/datasets/classification.py',
    '../../_base_/schedules/classification_50e.py',
]
data_root = 'data/chexpert'
classes = ['Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion']
# What an uncertain label counts as.
uncertain = {'Atelectasis': 1, 'Cardiomegaly': 0, 'Consolidation': 0, 'Edema': 1, 'Pleural Effusion': 1}
model = dict(head=dict(num_classes=5))
# The augmentation of MoCo v2, after the crop.
train_pipeline = [
    dict(type='mgca_mm.LoadRadiograph', channels=3),
    dict(type='mmpretrain.RandomCrop', crop_size=224),
    dict(
        type='RandomApply',
        transforms=[dict(type='mmpretrain.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)],
        prob=0.8),
    dict(type='RandomGrayscale', prob=0.2, keep_channels=True),
    dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.5),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs'),
]
labels = dict(data_root=data_root, classes=classes, uncertain=uncertain)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **labels))
val_dataloader = dict(dataset=labels)
test_dataloader = dict(dataset=labels)
