# Phrases about the quickstart's test images, with the boxes of what was drawn.
_base_ = './pretrain_resnet18.py'
data_root = 'data/quickstart'
phrases = 'data/quickstart_raw/phantom-phrases.csv'
model = dict(
    type='PhraseGrounder', tokenize=dict(type='TokenizeReport', max_length=80), data_root=data_root)
phrase_pipeline = [
    dict(type='LoadRadiograph'),
    dict(type='ResizeAndPad', size=128),
    dict(type='CenterCrop', crop_size=112),
    dict(type='TokenizeReport', max_length=80),
    dict(type='PackImageReportInputs', meta_keys=('image_id', 'boxes', 'raw_shape')),
]
test_dataloader = dict(dataset=dict(type='PhraseGroundingDataset', phrases=phrases, pipeline=phrase_pipeline))
test_evaluator = [dict(type='PhraseGrounding', square=128, crop=112, num_bootstrap=1000)]
