# DSVE (docs/protocol.md#baselines): the hinge of VSE++ on images pooled by their strongest and weakest regions.
method = dict(
    image_encoder=dict(pooling=dict(type='WeldonPooling', out_channels=2400, num_regions=15)),
    projector=dict(_delete_=True, type='LinearProjector', out_channels=2400),
    alignments=dict(
        _delete_=True,
        triplet=dict(type='InstanceAlignment', loss=dict(type='TripletLoss', margin=0.2, num_negatives=1))))
