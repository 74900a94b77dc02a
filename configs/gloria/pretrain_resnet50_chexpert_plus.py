# pretrain_resnet50.py on the reports of CheXpert: the paper's row "GLoRIA, trained on CheXpert".
_base_ = './pretrain_resnet50.py'
data_root = 'data/chexpert_plus'
