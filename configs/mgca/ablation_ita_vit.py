# Table 4, ITA alone.
_base_ = './pretrain_vit.py'
model = dict(alignments=dict(_delete_=True, ita=dict(type='InstanceAlignment')))
