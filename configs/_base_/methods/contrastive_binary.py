# Contrastive-Binary (PROTOCOL §6): matched or shuffled, one negative a pair.
method = dict(
    alignments=dict(
        _delete_=True, matching=dict(type='MatchingAlignment', embed_dims=128, hidden_channels=512)))
