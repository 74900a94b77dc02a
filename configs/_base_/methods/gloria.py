# GLoRIA (docs/protocol.md#baselines): global and local contrast, temperatures 4 / 5 / 10 (10 = 1 / 0.1), weights 1 / 1,
# d 768, the last four layers of the text encoder summed; a report is the mean of its pieces.
method = dict(
    text_encoder=dict(pooling='mean', num_summed_layers=4),
    projector=dict(_delete_=True, type='LinearProjector', out_channels=768),
    normalize_tokens=False,
    alignments=dict(
        _delete_=True,
        contrast=dict(
            type='InstanceAlignment', loss=dict(type='InfoNCELoss', temperature=0.1, reduction='sum')),
        local=dict(
            type='LocalAlignment',
            word_sharpness=4.0,
            report_sharpness=5.0,
            loss=dict(type='InfoNCELoss', temperature=0.1, reduction='sum'))))
