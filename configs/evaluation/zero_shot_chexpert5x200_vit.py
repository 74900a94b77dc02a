# 200 training images of CheXpert for each of five labels, all others negative or not mentioned (No Finding aside, as in
# GLoRIA): accuracy by sentences, and precision@k.
_base_ = './zero_shot_chexpert_vit.py'
test_dataloader = dict(dataset=dict(ann_file='train.json', exclusive=True, per_class=200))
test_evaluator = [dict(type='Top1Accuracy', num_bootstrap=1000), dict(type='ClassRetrieval', topk=(5, 10, 100))]
