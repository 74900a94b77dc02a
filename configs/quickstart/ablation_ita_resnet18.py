# The quickstart with ita alone.
_base_ = './pretrain_resnet18.py'
model = dict(alignments=dict(_delete_=True, ita=dict(type='InstanceAlignment')))
custom_hooks = [dict(type='ThroughputHook')]
