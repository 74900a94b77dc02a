# SigLIP + captioning, small, on the phantom.
_base_ = ['./pretrain_resnet18.py', '../_base_/methods/siglip_caption.py']
data_root = 'data/quickstart'
model = dict(
    projector=dict(_delete_=True, type='LinearProjector', out_channels=192),
    normalize_tokens={{_base_.method.normalize_tokens}},
    alignments=dict(
        _delete_=True,
        sigmoid={{_base_.method.alignments.sigmoid}},
        caption=dict(
            type='CaptioningAlignment',
            vocab_size=2000,
            max_length=80,
            decoder=dict(
                type='MemoryTransformerDecoder',
                max_length=80,
                embed_dims=192,
                region_dims=192,
                num_layers=2,
                num_heads=4,
                num_memory_slots=10,
                feedforward_dims=768))))
test_evaluator = [
    dict(type='AlignmentLoss'),
    dict(type='ImageReportRetrieval', topk=(1, 5, 10)),
    dict(type='ReportGeneration', data_root=data_root),
]
