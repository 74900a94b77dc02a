# VSE++ (docs/protocol.md#baselines): hinge on the hardest negative, margin 0.2, between linear projections.
method = dict(
    projector=dict(_delete_=True, type='LinearProjector', out_channels=1024),
    alignments=dict(
        _delete_=True,
        triplet=dict(type='InstanceAlignment', loss=dict(type='TripletLoss', margin=0.2, num_negatives=1))))
