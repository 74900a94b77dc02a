# GLoRIA, small, on the phantom: the text encoder has two layers.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/gloria.py']
model = dict(
    text_encoder=dict(pooling='mean', num_summed_layers=2),
    projector=dict(_delete_=True, type='LinearProjector', out_channels=128),
    normalize_tokens={{_base_.method.normalize_tokens}},
    alignments={{_base_.method.alignments}})
