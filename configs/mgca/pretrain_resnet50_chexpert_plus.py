# pretrain_resnet50.py on the reports of CheXpert.
_base_ = './pretrain_resnet50.py'
data_root = 'data/chexpert_plus'
