#!/usr/bin/env bash
# The main job on the embedded phantom: environment, data, pretraining, linear probe. A second call skips what is done.
# usage: bash tools/quickstart.sh      QUICKSTART_DIR=DIR puts data and results elsewhere (default: work_dirs/quickstart)
set -euo pipefail
cd "$(dirname "$0")/.."

dir=${QUICKSTART_DIR:-work_dirs/quickstart}
config=configs/quickstart/pretrain_resnet18.py
python=.venv/bin/python
export TOKENIZERS_PARALLELISM=false

step() { printf '\n== %s (%s)\n' "$1" "$(date +%H:%M:%S)"; }

step "1/5 environment"
bash tools/setup_env.sh

step "2/5 phantom: 2,000 procedural patients in MIMIC-CXR's layout"
"$python" tools/make_phantom.py --layout mimic_cxr --out "$dir/raw" --patients 2000 --seed 1 --workers "$(nproc)"

step "3/5 preparation: images, reports, splits, tokenizer"
"$python" tools/prepare_data.py mimic_cxr --raw "$dir/raw" --out "$dir/data" --image-size 128 --vocab-size 2000

step "4/5 pretraining: MGCA, ResNet-18, 6 epochs"
if [ -f "$dir/run/epoch_6.pth" ]; then
    echo "$dir/run/epoch_6.pth is there already, nothing to do."
else
    "$python" tools/train.py "$config" --work-dir "$dir/run" --resume --cfg-options data_root="$dir/data"
fi

step "5/5 linear probe of the frozen encoder, best in validation, and retrieval"
if [ -f "$dir/probe/probe.md" ] && [ "$dir/probe/probe.md" -nt "$dir/run/epoch_6.pth" ]; then
    cat "$dir/probe/probe.md"
    printf '\nPictures: %s\n' "$dir/probe/probe.png, $dir/probe/training.png"
else
    "$python" tools/linear_probe.py "$config" "$dir/run" --out "$dir/probe" \
        --cfg-options data_root="$dir/data"
fi
