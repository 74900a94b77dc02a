# Caption-LSTM, ViT-B/16; data, image encoder and schedule are those of configs/mgca/pretrain_vit.py.
_base_ = ['../mgca/pretrain_vit.py', '../_base_/methods/caption_lstm.py']
model = {{_base_.method}}
val_evaluator = {{_base_.evaluator}}
test_evaluator = {{_base_.evaluator}}
