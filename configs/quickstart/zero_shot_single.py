# Test images of the quickstart that show one finding and nothing else, at most 20 of each: accuracy by sentences, and
# precision@k. Lung Opacity is the group that atelectasis, consolidation, edema and pneumonia belong to.
_base_ = './zero_shot.py'
test_dataloader = dict(dataset=dict(exclusive=True, per_class=20, groups=['Lung Opacity']))
test_evaluator = [dict(type='Top1Accuracy', num_bootstrap=1000), dict(type='ClassRetrieval', topk=(5, 10))]
