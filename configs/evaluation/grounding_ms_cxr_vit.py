# Phrases of MS-CXR with their boxes, on MIMIC-CXR's images prepared as data/mimic_cxr. Its images are of MIMIC's training
# split for the most part: test_dataloader.dataset.ann_file=train.json evaluates on them, and is fair only if they were not
# trained on.
_base_ = '../mgca/pretrain_vit.py'
phrases = 'data/ms_cxr/MS_CXR_Local_Alignment_v1.1.0.csv'
data_root = 'data/mimic_cxr'
model = dict(type='PhraseGrounder', tokenize={{_base_.tokenize}}, data_root=data_root)
test_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=256),
    dict(type='CenterCrop', crop_size=224),
    {{_base_.tokenize}},
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'boxes', 'raw_shape')),
]
# Heat maps are gradients: a batch takes the memory of a training step.
test_dataloader = dict(
    batch_size=16, dataset=dict(type='PhraseGroundingDataset', phrases=phrases, pipeline=test_pipeline))
test_evaluator = [dict(type='PhraseGrounding', square=256, crop=224, num_bootstrap=1000)]
