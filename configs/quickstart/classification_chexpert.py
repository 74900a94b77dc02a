# The linear classification of chexpert for the quickstart's ResNet-18; see downstream/classification/chexpert_vit.py.
_base_ = './classification_rsna.py'
data_root = 'data/chexpert'
classes = ['Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion']
uncertain = {'Atelectasis': 1, 'Cardiomegaly': 0, 'Consolidation': 0, 'Edema': 1, 'Pleural Effusion': 1}
model = dict(head=dict(num_classes=5))
labels = dict(data_root=data_root, classes=classes, uncertain=uncertain)
train_dataloader = dict(dataset=labels)
val_dataloader = dict(dataset=labels)
test_dataloader = dict(dataset=labels)
