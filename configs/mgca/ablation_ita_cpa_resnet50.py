# Table 4, ITA + CPA.
_base_ = './pretrain_resnet50.py'
model = dict(
    alignments=dict(_delete_=True, ita=dict(type='InstanceAlignment'), cpa=dict(type='PrototypeAlignment')))
