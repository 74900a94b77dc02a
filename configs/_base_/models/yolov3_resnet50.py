# YOLOv3 on a frozen ResNet-50: stages 2, 3, 4; COCO's anchors scaled from 416 to 224 pixels; one class.
image_init = 'work_dirs/pretrain_resnet50'
anchor_scale = 224 / 416
model = dict(
    _scope_='mmdet',  # also as mgca_mm::…, which would be marked by our name
    type='mmdet.YOLOV3',
    data_preprocessor=dict(type='mmdet.DetDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, pad_size_divisor=32),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=50,
        out_indices=(1, 2, 3),
        zero_init_residual=False,  # as torchvision's, where image_init is random
        frozen_stages=4,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint=image_init)),
    neck=dict(
        type='mmdet.YOLOV3Neck', num_scales=3, in_channels=[2048, 1024, 512], out_channels=[512, 256, 128]),
    bbox_head=dict(
        type='mmdet.YOLOV3Head',
        num_classes=1,
        in_channels=[512, 256, 128],
        out_channels=[1024, 512, 256],
        anchor_generator=dict(
            type='mmdet.YOLOAnchorGenerator',
            base_sizes=[[(w * anchor_scale, h * anchor_scale) for w, h in level]
                        for level in ([(116, 90), (156, 198), (373, 326)], [(30, 61), (62, 45), (59, 119)],
                                      [(10, 13), (16, 30), (33, 23)])],
            strides=[32, 16, 8]),
        bbox_coder=dict(type='mmdet.YOLOBBoxCoder'),
        featmap_strides=[32, 16, 8],
        loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_conf=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_xy=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0, reduction='sum'),
        loss_wh=dict(type='mmdet.MSELoss', loss_weight=2.0, reduction='sum')),
    train_cfg=dict(assigner=dict(type='mmdet.GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        conf_thr=0.005,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=100))
