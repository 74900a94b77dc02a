# MRM, small, on the phantom. Pixels are restored at the resolution that is seen: 49 patches of 16 x 16.
_base_ = './pretrain_mgca_vit.py'
model = dict(
    _delete_=True,
    type='MaskedRecordModel',
    data_preprocessor=dict(type='MaskedRecordDataPreprocessor'),
    image_encoder={{_base_.model.image_encoder}},
    image_decoder=dict(
        type='mmpretrain.MAEPretrainDecoder',
        patch_size=16,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3),
    report_decoder=dict(
        vocab_size=2000,
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=768,
        max_position_embeddings=80,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0))
val_evaluator = [dict(type='AlignmentLoss')]
test_evaluator = val_evaluator
