# Caption-LSTM, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/caption_lstm.py']
data_root = 'data/quickstart'
model = dict(
    image_encoder=dict(backbone=dict(out_indices=(3, ))),
    text_encoder={{_base_.method.text_encoder}},
    projector=dict(_delete_=True, type='LinearProjector', out_channels=192),
    normalize_tokens={{_base_.method.normalize_tokens}},
    alignments=dict(
        _delete_=True,
        caption=dict(
            type='CaptioningAlignment',
            vocab_size=2000,
            max_length=80,
            decoder=dict(type='LSTMDecoder', embed_dims=192, region_dims=192))))
val_evaluator = [dict(type='AlignmentLoss')]
test_evaluator = [dict(type='AlignmentLoss'), dict(type='ReportGeneration', data_root=data_root)]
