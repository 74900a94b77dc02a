#!/usr/bin/env bash
# Train on several GPUs (on CPUs over gloo where there is none): dist_train.sh CONFIG GPUS [train.py's options]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR on each, and the same PORT.
# The config's batch size is that of one process: divide the paper's 144 by the number of GPUs.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
config=$1
gpus=$2
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../.venv/bin/python}
[ -x "$python" ] || python=${PYTHON:-python}
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$here/train.py" "$config" --launcher pytorch "${@:3}"
