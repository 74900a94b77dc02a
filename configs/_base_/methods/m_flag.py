# M-FLAG: pairs close together, latent variables of the images orthogonal; the text encoder is frozen.
method = dict(
    text_encoder=dict(frozen=True),
    projector=dict(out_channels=1024),
    alignments=dict(
        _delete_=True, orthogonal=dict(type='OrthogonalAlignment', off_diagonal_weight=0.0051)))
