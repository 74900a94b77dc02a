#!/usr/bin/env bash
# Train on several GPUs (on CPUs over gloo where there is none): dist_train.sh CONFIG GPUS [train.py's options]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR on each, and the same PORT.
# MAX_RESTARTS=3 with --resume starts all ranks again from the newest checkpoint when one has died.
# The config's batch size is that of one process: --total-batch 144 divides the paper's among the GPUs.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
config=$1
gpus=$2
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../.venv/bin/python}
[ -x "$python" ] || python=${PYTHON:-python}
# shellcheck source=tools/gpus.sh
source "$here/gpus.sh"
address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500} rank=${NODE_RANK:-0}
if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # Ranks that start again must meet at a new place: in a shared store they would read the addresses of the dead.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    meeting=(--rdzv_backend=c10d --rdzv_id="$port" --rdzv_endpoint="$address:$port"
        --rdzv_conf="is_host=$([ "$rank" -eq 0 ] && echo 1 || echo 0)" --max_restarts="$MAX_RESTARTS")
else
    meeting=(--node_rank="$rank" --master_addr="$address" --master_port="$port")
fi
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --nproc_per_node="$gpus" "${meeting[@]}" \
    "$here/train.py" "$config" --launcher pytorch "${@:3}"
