# The quickstart with ita and cta alone.
_base_ = './pretrain_resnet18.py'
model = dict(
    alignments=dict(_delete_=True, ita=dict(type='InstanceAlignment'), cta=dict(type='TokenAlignment')))
custom_hooks = [dict(type='ThroughputHook')]
