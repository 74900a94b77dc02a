# MedCLIP: targets by the similarity of labels, learned temperature; reports are the mean of their pieces.
method = dict(
    text_encoder=dict(pooling='mean'),
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    alignments=dict(
        _delete_=True,
        contrast=dict(
            type='InstanceAlignment',
            loss=dict(type='InfoNCELoss', temperature=0.07, learnable=True),
            target=dict(type='LabelSimilarity', temperature=1.0))))
