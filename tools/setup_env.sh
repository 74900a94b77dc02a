#!/usr/bin/env bash
# Make .venv from requirements/lock.txt and install this package into it, editable. Nothing is done twice.
# usage: bash tools/setup_env.sh      PYTHON=python3.12 chooses the interpreter (3.10 to 3.12)
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stamp=.venv/.installed
wanted=$("$python" --version; cat requirements/*.txt setup.py pyproject.toml tools/setup_env.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'; then
    echo "error: $python is $("$python" --version 2>&1); Python 3.10 to 3.12 is needed." >&2
    echo "Name another interpreter: PYTHON=python3.12 bash $0" >&2
    exit 2
fi

echo "Setting up .venv (about 3 GB, of which PyTorch is most) …"
# A proxy that opens TLS, as in hospitals, is known to the system's certificates or to those named in the environment,
# not to those that uv and the pip of older Pythons bring along.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
    if [ -z "${PIP_CERT:-}${REQUESTS_CA_BUNDLE:-}${CURL_CA_BUNDLE:-}" ] && [ -f "$bundle" ] &&
        ! "$python" -m pip config list 2> /dev/null | grep -q "cert="; then
        export PIP_CERT=$bundle
    fi
done
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==0.13.9"
uv=(.venv/bin/uv --no-python-downloads)
# mmcv's source package compiles its operators if it finds torch; built apart from it, it is pure Python.
export MMCV_WITH_OPS=0 UV_LINK_MODE=${UV_LINK_MODE:-copy}
"${uv[@]}" pip install --python .venv/bin/python --override requirements/overrides.txt -r requirements/lock.txt
"${uv[@]}" pip install --python .venv/bin/python --quiet --no-deps --editable .
# The shims of mgca_mm/compat.py for the libraries' own programs, which do not import this package first.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo 'import sys; exec("try: import mgca_mm\nexcept ImportError: pass")' > "$site/mgca_mm_shims.pth"
# Every run starts 5 to 10 s sooner, also where PYTHONDONTWRITEBYTECODE is set. A file that does not compile is no matter.
.venv/bin/python -m compileall -q -j 0 .venv/lib > /dev/null || true
echo "$wanted" > "$stamp"
