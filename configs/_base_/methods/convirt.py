# ConVIRT (docs/protocol.md#baselines): weighted InfoNCE, tau 0.1, lambda 0.75, d 512; reports are max-pooled.
method = dict(
    text_encoder=dict(pooling='max'),
    projector=dict(norm=False, hidden_channels=512, out_channels=512),
    alignments=dict(
        _delete_=True,
        contrast=dict(
            type='InstanceAlignment', loss=dict(type='InfoNCELoss', temperature=0.1, image_weight=0.75))))
# Between NumpyToPIL and PILToNumpy; the crop stands before them, for it knows the size of the images.
augment = dict(
    type='RandomApply',
    prob=1.0,
    transforms=[
        dict(type='mmpretrain.NumpyToPIL'),
        dict(type='mmpretrain.torchvision/RandomHorizontalFlip', p=0.5),
        dict(type='mmpretrain.torchvision/RandomAffine', degrees=20, translate=(0.1, 0.1), scale=(0.95, 1.05)),
        dict(type='mmpretrain.torchvision/ColorJitter', brightness=(0.6, 1.4), contrast=(0.6, 1.4)),
        dict(type='mmpretrain.torchvision/GaussianBlur', kernel_size=19, sigma=(0.1, 3.0)),
        dict(type='mmpretrain.PILToNumpy'),
    ])
