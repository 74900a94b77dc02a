# pretrain_resnet50.py on Spanish reports, read by multilingual BERT: uncased, as the cleaned reports are.
_base_ = './pretrain_resnet50.py'
data_root = 'data/padchest'
text_model = 'google-bert/bert-base-multilingual-uncased'
