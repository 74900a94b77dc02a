#!/usr/bin/env bash
# Set the environment up if need be and run the tests: run_tests.sh [pytest's options]
set -euo pipefail
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
if [ $# -eq 0 ]; then
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
fi
exec .venv/bin/python -m pytest "$@"
