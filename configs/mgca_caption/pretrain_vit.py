# MGCA + captioning, ViT-B/16; data, encoders and schedule are those of configs/mgca/pretrain_vit.py.
_base_ = ['../mgca/pretrain_vit.py', '../_base_/methods/mgca_caption.py']
model = dict(alignments=dict(caption={{_base_.method.alignments.caption}}))
val_evaluator = {{_base_.evaluator}}
test_evaluator = {{_base_.evaluator}}
