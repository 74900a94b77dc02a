# COVID-19 or not on covid-chestxray, small: linear layer on the quickstart's ResNet-18.
_base_ = './classification_rsna.py'
data_root = 'data/covid_chestxray'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
