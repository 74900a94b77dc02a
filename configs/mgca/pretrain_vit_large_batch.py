# pretrain_vit_fast.py for large batches: 1152 pairs, on one 80 GB GPU or shared by several (divide the batch size).
_base_ = './pretrain_vit_fast.py'
model = dict(
    # Activations are computed again in the backward pass, and the similarities of the instance loss never stand as one
    # matrix.
    image_encoder=dict(activation_checkpointing=True),
    text_encoder=dict(activation_checkpointing=True),
    alignments=dict(ita=dict(chunk_size=256)))
train_dataloader = dict(batch_size=1152)
# The square root of the batch's growth, as is common with Adam; nobody has tuned it here.
optim_wrapper = dict(optimizer=dict(lr=2e-5 * 8**0.5))
auto_scale_lr = dict(base_batch_size=1152)
