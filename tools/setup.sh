#!/usr/bin/env bash
# Creates .venv with every pinned dependency and the rooms of this tree in editable form.
# Quick the second time: a stamp of the lock and of each pyproject.toml says that nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

python=$(find_python)
if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "Python 3.11 or newer with venv is needed; trying to install python3 and python3-venv …" >&2
  if ! { as_root apt-get update -qq && as_root apt-get install -y -qq python3 python3-venv ca-certificates; } >&2; then
    echo "Please install them: apt-get install python3 python3-venv ca-certificates" >&2
    exit 1
  fi
  python=$(find_python)
fi

mapfile -t rooms < <(find . -path ./.venv -prune -o -name pyproject.toml -mindepth 2 -maxdepth 3 -print | sort | xargs -n1 dirname)
# The place counts, too: the scripts of a virtual environment hold its path, and a moved tree needs a new one.
stamp=$({ pwd; cat requirements/*.lock tools/setup.sh "${rooms[@]/%//pyproject.toml}"; } | sha256sum)
if [ -x .venv/bin/floe ] && [ "$(cat .venv/.stamp 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi

usable() { grep -qF " $PWD/.venv" .venv/pyvenv.cfg && .venv/bin/python -m pip --version; } >/dev/null 2>&1
# --clear: what an interrupted set-up has left may have a Python and no pip.
usable || "$python" -m venv --clear .venv
rm -f .venv/.stamp
if [ -z "${PIP_CERT:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy VIRTUAL_ENV="$PWD/.venv"
# uv is many times faster; pip knows indexes that are set up in pip's own configuration only.
if ! .venv/bin/uv pip install --quiet --require-hashes -r requirements/development.lock; then
  .venv/bin/python -m pip install --quiet --require-hashes -r requirements/development.lock
fi
editable=()
for room in "${rooms[@]}"; do editable+=(-e "$room"); done
# Never looked up on an index: other projects publish packages under the same names.
.venv/bin/uv pip install --quiet --no-deps --no-index --no-build-isolation "${editable[@]}"
echo "$stamp" >.venv/.stamp
