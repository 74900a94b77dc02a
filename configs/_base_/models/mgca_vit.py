# MGCA with ViT-B/16 and BioClinicalBERT (docs/protocol.md#model, column "paper").
text_model = 'emilyalsentzer/Bio_ClinicalBERT'
image_init = (
    'https://download.openmmlab.com/mmclassification/v0/deit/deit-base_pt-16xb64_in1k_20220216-db63c16c.pth')
embed_dims = 128
model = dict(
    type='ImageReportPretrainer',
    data_preprocessor=dict(type='ImageReportDataPreprocessor', mean=127.5, std=127.5),
    image_encoder=dict(
        type='ImageEncoder',
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch='deit-base',
            img_size=224,
            patch_size=16,
            out_type='raw',
            init_cfg=dict(type='Pretrained', checkpoint=image_init, prefix='backbone.'))),
    text_encoder=dict(type='TextEncoder', pretrained=text_model, max_length=112),
    projector=dict(type='Projector', hidden_channels=2048, out_channels=embed_dims),
    alignments=dict(
        ita=dict(
            type='InstanceAlignment',
            loss=dict(type='InfoNCELoss', temperature=0.1, reduction='mean'),
            loss_weight=1.0),
        cta=dict(
            type='TokenAlignment',
            attention=dict(type='CrossModalAttention', embed_dims=embed_dims),
            loss=dict(type='TokenInfoNCELoss', temperature=0.07),
            loss_weight=1.0),
        cpa=dict(
            type='PrototypeAlignment',
            num_prototypes=500,
            embed_dims=embed_dims,
            epsilon=0.05,
            num_iterations=3,
            loss=dict(type='SwappedPredictionLoss', temperature=0.2),
            loss_weight=1.0)))
