# Caption-LSTM, ResNet-50; data and schedule are those of configs/mgca/pretrain_resnet50.py. The regions are those of the last
# stage, so that all stages are trained.
_base_ = ['../mgca/pretrain_resnet50.py', '../_base_/methods/caption_lstm.py']
model = dict(
    image_encoder=dict(backbone=dict(out_indices=(3, ))),
    text_encoder={{_base_.method.text_encoder}},
    projector={{_base_.method.projector}},
    normalize_tokens={{_base_.method.normalize_tokens}},
    alignments={{_base_.method.alignments}})
val_evaluator = {{_base_.evaluator}}
test_evaluator = {{_base_.evaluator}}
