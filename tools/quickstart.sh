#!/usr/bin/env bash
# The main job on the embedded phantom: environment, data, pretraining, linear probe, and a page to look at. A second call
# skips what is done.
# usage: bash tools/quickstart.sh      QUICKSTART_DIR=DIR puts data and results elsewhere (default: work_dirs/quickstart)
set -euo pipefail
cd "$(dirname "$0")/.."

printf '== environment (%s)\n' "$(date +%H:%M:%S)"
bash tools/setup_env.sh
exec .venv/bin/python tools/demo.py --out "${QUICKSTART_DIR:-work_dirs/quickstart}"
