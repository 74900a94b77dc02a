# Contrastive-Binary (docs/protocol.md#baselines): matched or shuffled, one negative a pair.
method = dict(
    alignments=dict(
        _delete_=True, matching=dict(type='MatchingAlignment', embed_dims=128, hidden_channels=512)))
