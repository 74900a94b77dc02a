# pretrain_vit.py on the reports of CheXpert.
_base_ = './pretrain_vit.py'
data_root = 'data/chexpert_plus'
