# SigLIP + captioning, ViT-B/16; data, encoders and schedule are those of configs/mgca/pretrain_vit.py.
_base_ = ['../mgca/pretrain_vit.py', '../_base_/methods/siglip_caption.py']
model = {{_base_.method}}
val_evaluator = {{_base_.evaluator}}
test_evaluator = {{_base_.evaluator}}
