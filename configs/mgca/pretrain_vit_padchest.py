# pretrain_vit.py on Spanish reports, read by multilingual BERT: uncased, as the cleaned reports are.
_base_ = './pretrain_vit.py'
data_root = 'data/padchest'
text_model = 'google-bert/bert-base-multilingual-uncased'
