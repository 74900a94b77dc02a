# CLIP: InfoNCE with a learned temperature between linear projections.
method = dict(
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    alignments=dict(
        _delete_=True,
        contrast=dict(
            type='InstanceAlignment', loss=dict(type='InfoNCELoss', temperature=0.07, learnable=True))))
