# A method of one's own on the quickstart's data and encoders.
_base_ = 'mgca_mm::quickstart/pretrain_resnet18.py'
custom_imports = dict(imports=['uniformity_alignment'])
model = dict(
    alignments=dict(_delete_=True, uniformity=dict(type='UniformityAlignment', uniformity_weight=0.5)))
