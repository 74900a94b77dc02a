# The quickstart with all pairs of the same labels as positives of ita: what its false negatives cost, for the phantom's
# labels are true. An oracle, not a method.
_base_ = './pretrain_resnet18.py'
model = dict(alignments=dict(ita=dict(target=dict(type='LabelSimilarity', temperature=0.001))))
train_pipeline = [dict(type='EncodeLabels'), *_base_.train_pipeline]
test_pipeline = [dict(type='EncodeLabels'), *_base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
