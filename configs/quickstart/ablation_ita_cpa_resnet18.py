# The quickstart with ita and cpa alone.
_base_ = './pretrain_resnet18.py'
model = dict(
    alignments=dict(
        _delete_=True, ita=dict(type='InstanceAlignment'), cpa=dict(type='PrototypeAlignment', num_prototypes=64)))
