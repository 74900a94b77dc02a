# MGCA + captioning, small, on the phantom.
_base_ = './pretrain_resnet18.py'
data_root = 'data/quickstart'
model = dict(
    alignments=dict(
        caption=dict(
            type='CaptioningAlignment',
            vocab_size=2000,
            max_length=80,
            region_scale=128**0.5,
            decoder=dict(
                type='MemoryTransformerDecoder',
                max_length=80,
                embed_dims=192,
                region_dims=128,
                num_layers=2,
                num_heads=4,
                num_memory_slots=10,
                feedforward_dims=768))))
test_evaluator = [
    dict(type='AlignmentLoss'),
    dict(type='ImageReportRetrieval', topk=(1, 5, 10)),
    dict(type='ReportGeneration', data_root=data_root),
]
