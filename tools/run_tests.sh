#!/usr/bin/env bash
# Set the environment up if need be and run the tests, as many at a time as there are cores: run_tests.sh [pytest's options]
# Those that take minutes: run_tests.sh -m slow
set -euo pipefail
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
if [ $# -eq 0 ]; then
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal "$@"
