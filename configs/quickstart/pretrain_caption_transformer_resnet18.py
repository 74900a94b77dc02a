# Caption-Transformer, small, on the phantom.
_base_ = './pretrain_caption_lstm_resnet18.py'
model = dict(
    alignments=dict(
        caption=dict(
            decoder=dict(
                _delete_=True,
                type='MemoryTransformerDecoder',
                max_length=80,
                embed_dims=192,
                region_dims=192,
                num_layers=2,
                num_heads=4,
                num_memory_slots=10,
                feedforward_dims=768))))
