# object_cxr_resnet50.py with the loss of the released code.
_base_ = './object_cxr_resnet50.py'
custom_imports = dict(imports=['mgca_mm.models.dense.released_yolov3_head'])
model = dict(bbox_head=dict(type='mgca_mm.ReleasedYOLOV3Head'))
