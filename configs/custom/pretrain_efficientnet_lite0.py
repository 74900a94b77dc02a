# MGCA small enough for a CPU, from real weights (docs/real_bench.md): timm's EfficientNet-Lite0 at 224 x 224 and MiniLM.
_base_ = '../mgca/pretrain_vit.py'
data_root = 'data/custom'
text_model = 'sentence-transformers/all-MiniLM-L6-v2'
image_init = 'efficientnet_lite0.pth'  # of tools/convert_checkpoint.py from-efficientnet-lite0; or random
max_epochs = 12
model = dict(
    image_encoder=dict(
        channels_last=True,
        backbone=dict(
            _delete_=True,
            type='mmpretrain.TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            init_cfg=dict(type='Pretrained', checkpoint=image_init))),
    projector=dict(hidden_channels=512),
    alignments=dict(cpa=dict(num_prototypes=64)))
train_dataloader = dict(batch_size=32, num_workers=1, pin_memory=False)
val_dataloader = dict(batch_size=32, num_workers=1, pin_memory=False)
test_dataloader = dict(batch_size=32, num_workers=1, pin_memory=False)
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=1e-4))
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(logger=dict(interval=10))
