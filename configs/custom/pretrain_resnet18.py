# Your own pairs (docs/prepare_data.md#your-own-pairs): MGCA, small, from random weights; trains on a CPU without a
# download. Vocabulary and batch are those of the prepared folder where its tokenizer is larger, its pairs are fewer.
_base_ = '../quickstart/pretrain_resnet18.py'
data_root = 'data/custom'
max_epochs = 30
default_hooks = dict(checkpoint=dict(interval=10))
