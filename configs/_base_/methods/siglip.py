# SigLIP: every image with every report is a question of its own.
method = dict(
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    alignments=dict(_delete_=True, sigmoid=dict(type='SigmoidAlignment', temperature=10.0, bias=-10.0)))
