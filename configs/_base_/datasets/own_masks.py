# Masks of the prepared folder itself: softmax instead of sigmoid where there are more classes than background and
# foreground (see mgca_mm.engine.own_classes).
own_classes = dict(
    model=dict(decode_head=dict(loss=dict(_delete_=True, type='mgca_mm.CrossEntropyDiceLoss'))),
    val_evaluator=[
        dict(type='mgca_mm.SegmentationLoss', loss=dict(type='mgca_mm.CrossEntropyDiceLoss')),
        dict(type='mgca_mm.PerImageDice'),
    ])
