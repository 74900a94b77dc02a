#!/usr/bin/env bash
# What training costs on this machine's GPU, in ten minutes at most: [PY=python3] [DRY=1] gpu_report.sh [OUT]
#   OUT   folder of the results (default: gpu_report): a JSON and a log of each part, the 20 kernels that take most time
#         of a step eager and compiled, environment.log and gpu.csv, the log of the training run, and parts.jsonl: how
#         each part ended. What a part has found is there as soon as it has ended.
#   PY    a Python that has the packages (default: that of the repository's .venv)
#   DRY=1 every part, tiny, on a CPU as well: does the report run?
# Each part has a limit of its own, the more telling ones come first, and none begins when the time is up.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PY=${PY:-$root/.venv/bin/python} DRY=${DRY:-0}
mkdir -p "${1:-gpu_report}" && out=$(cd "${1:-gpu_report}" && pwd) && work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export TORCHINDUCTOR_CACHE_DIR=$work/inductor TRITON_CACHE_DIR=$work/triton
: > "$out/parts.jsonl"

batch=144 repeats=10 rows=8192 layers=12 epochs=10 total=590
tiny_vit=() tiny_resnet=() tiny_run=()
if [ "$DRY" = 1 ]; then
    batch=2 repeats=1 rows=64 layers=1 epochs=1 total=3600
    tiny_vit=(model.text_encoder.num_hidden_layers=1 model.image_encoder.backbone.arch=deit-tiny)
    tiny_resnet=(model.text_encoder.num_hidden_layers=1)
    tiny_run=(model.image_encoder.backbone.arch=deit-tiny model.compile=None train_dataloader.batch_size=2
        train_dataloader.num_workers=0 train_dataloader.persistent_workers=False)
fi

part() { # part NAME SECONDS COMMAND…
    local name=$1 limit=$2 start=$SECONDS rc
    shift 2
    [ "$DRY" = 1 ] && limit=600
    [ $((total - start)) -lt "$limit" ] && limit=$((total - start))
    if [ "$limit" -lt 10 ]; then
        rc='"no time"'
    else
        timeout -s KILL "$limit" "$@" > "$out/$name.log" 2>&1 # a run that is asked to end would write a checkpoint
        rc=$?
    fi
    echo "{\"part\": \"$name\", \"rc\": $rc, \"seconds\": $((SECONDS - start)), \"limit\": $limit}" | tee -a "$out/parts.jsonl"
}

step() { # step NAME SECONDS CONFIG [ARGUMENTS…]
    local name=$1 limit=$2 config=$3 tiny=()
    shift 3
    [[ $config == *vit* ]] && tiny=("${tiny_vit[@]}") || tiny=("${tiny_resnet[@]}")
    [ "$DRY" = 1 ] && tiny=(--cfg-options "${tiny[@]}")
    rm -f "$out/$name.json" # of an earlier report
    part "$name" "$limit" "$PY" "$root/tools/benchmark.py" pretrain "$root/configs/mgca/$config.py" --batch-size $batch \
        --repeats $repeats --out "$out/$name.json" "$@" "${tiny[@]}"
}

# Compiled, which takes a compiler and minutes on a CPU.
compile=(--compile)
[ "$DRY" = 1 ] && compile=()

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv > "$out/gpu.csv" 2>&1
part environment 30 "$PY" -m torch.utils.collect_env
step eager 60 pretrain_vit_fast --profile "$out/eager_kernels.txt"
step compiled 120 pretrain_vit_fast --profile "$out/compiled_kernels.txt" "${compile[@]}"
part store 60 "$PY" "$root/tools/benchmark.py" store "$work/store" --rows $rows --layers $layers
part training 110 "$PY" "$root/tools/train.py" "$root/configs/mgca/pretrain_vit_fast.py" --work-dir "$out/training" \
    --cfg-options data_root="$work/store" text_model="$work/store/text_model" model.image_encoder.backbone.init_cfg=None \
    train_cfg.max_epochs=$epochs train_cfg.val_begin=1000 param_scheduler=None default_hooks.logger.interval=20 \
    default_hooks.checkpoint.interval=1000 default_hooks.checkpoint.save_best=None \
    default_hooks.checkpoint.save_last=False "${tiny_run[@]}"
step resnet50 30 pretrain_resnet50
step resnet50_fast 40 pretrain_resnet50_fast
step naive 90 pretrain_vit_fast --against naive --repeats 2
step open_clip 90 pretrain_vit_fast "${compile[@]}" --against open_clip
step resnet50_fast_compiled 100 pretrain_resnet50_fast "${compile[@]}"
echo "$SECONDS s; results in $out"
