# SigLIP's alignment beside Caption-Transformer's.
_base_ = './caption_transformer.py'
method = dict(
    _delete_=True,
    projector=dict(_delete_=True, type='LinearProjector', out_channels=512),
    normalize_tokens=False,
    alignments=dict(
        _delete_=True,
        sigmoid=dict(type='SigmoidAlignment', temperature=10.0, bias=-10.0),
        caption={{_base_.method.alignments.caption}}))
evaluator = [
    dict(type='AlignmentLoss'),
    dict(type='ImageReportRetrieval', topk=(1, 5, 10)),
    dict(type='ReportGeneration', tokenizer='emilyalsentzer/Bio_ClinicalBERT'),
]
