# Test images of the quickstart with one finding only, at most 20 of each: accuracy by sentences, and precision@k.
_base_ = './zero_shot.py'
test_dataloader = dict(dataset=dict(exclusive=True, per_class=20))
test_evaluator = [dict(type='Top1Accuracy', num_bootstrap=1000), dict(type='ClassRetrieval', topk=(5, 10))]
