# MRM, ViT-B/16: 224 x 224 is seen, pixels are restored at 448 x 448. Prepare the data with --image-size 512.
_base_ = '../mgca/pretrain_vit.py'
max_epochs = 200
model = dict(
    _delete_=True,
    type='MaskedRecordModel',
    data_preprocessor=dict(
        type='MaskedRecordDataPreprocessor', mean=127.5, std=127.5, image_ratio=0.75, report_ratio=0.5),
    image_encoder=dict(
        type='ImageEncoder',
        resize_to=224,
        input_size=448,
        backbone={{_base_.model.image_encoder.backbone}}),
    image_decoder=dict(
        type='mmpretrain.MAEPretrainDecoder',
        patch_size=32,
        decoder_embed_dim=768,
        decoder_depth=4,
        decoder_num_heads=6),
    report_decoder=dict(
        vocab_size=28996,  # BioClinicalBERT's
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        intermediate_size=1536,
        max_position_embeddings=112))
train_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=512),
    dict(type='mmpretrain.RandomCrop', crop_size=448),
    {{_base_.tokenize}},
    dict(type='PackImageReportInputs'),
]
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=512),
    dict(type='CenterCrop', crop_size=448),
    {{_base_.tokenize}},
    dict(type='PackImageReportInputs'),
]
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=256, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=256, dataset=dict(pipeline=test_pipeline))
val_evaluator = [dict(type='AlignmentLoss')]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=1.5e-4, betas=(0.9, 0.95)))
auto_scale_lr = dict(base_batch_size=256)
