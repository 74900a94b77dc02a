# The released code where it differs from the paper.
_base_ = './mgca_vit.py'
model = dict(
    # Its BERT has no token types, and takes row 0 of the position table for every piece.
    text_encoder=dict(
        num_hidden_layers=6,
        use_positions=False,
        use_token_types=False,
        pooling='cls_word',
        word_merging=dict(type='ReleasedWordMerging')),
    project_padding=True,
    alignments=dict(
        ita=dict(loss=dict(temperature=0.07, reduction='sum'), gather=False),
        cta=dict(
            attention=dict(_delete_=True, type='SimilarityAttention', temperature=0.1),
            loss=dict(temperature=0.1),
            mask_padding=False,
            normalize_contexts=('text',),
            reduction='sum'),
        cpa=dict(gather=False)))
