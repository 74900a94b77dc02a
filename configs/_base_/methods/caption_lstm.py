# Caption-LSTM (docs/protocol.md#baselines): the report is written, not encoded; attention LSTM decoder.
method = dict(
    text_encoder=None,
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    normalize_tokens=False,
    alignments=dict(
        _delete_=True,
        caption=dict(
            type='CaptioningAlignment',
            vocab_size=28996,  # BioClinicalBERT's
            max_length=112,
            decoder=dict(type='LSTMDecoder', embed_dims=512, region_dims=512))))
# The tokenizer is that of text_model, in whatever place it is given.
evaluator = [
    dict(type='AlignmentLoss'),
    dict(type='ReportGeneration', tokenizer='emilyalsentzer/Bio_ClinicalBERT'),
]
