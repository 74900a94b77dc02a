# Labels of the prepared folder itself: what is other where exactly one class is true of an image (see
# mgca_mm.engine.own_classes).
own_classes = dict(
    model=dict(head=dict(type='mmpretrain.LinearClsHead')),
    train_dataloader=dict(dataset=dict(exclusive=True)),
    val_dataloader=dict(dataset=dict(exclusive=True)),
    test_dataloader=dict(dataset=dict(exclusive=True)),
    val_evaluator=[dict(type='mgca_mm.ClassificationLoss', multi_label=False), dict(type='mgca_mm.Top1Accuracy')],
    test_evaluator=[
        dict(type='mgca_mm.Top1Accuracy', num_bootstrap=1000),
        dict(type='mgca_mm.AUROC', num_bootstrap=1000),
    ])
