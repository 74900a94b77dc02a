# What MGCA + captioning adds: Caption-Transformer's alignment on MGCA's regions, unit vectors of D = 128.
_base_ = './caption_transformer.py'
method = dict(alignments=dict(caption=dict(region_scale=128**0.5, decoder=dict(region_dims=128))))
evaluator = [
    dict(type='AlignmentLoss'),
    dict(type='ImageReportRetrieval', topk=(1, 5, 10)),
    dict(type='ReportGeneration', tokenizer='emilyalsentzer/Bio_ClinicalBERT'),
]
