# Table 4, ITA + CTA.
_base_ = './pretrain_vit.py'
model = dict(
    alignments=dict(_delete_=True, ita=dict(type='InstanceAlignment'), cta=dict(type='TokenAlignment')))
