#!/usr/bin/env bash
# Renews the lock files; they pin every package with its hashes and carry no index address.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_SYSTEM_CERTS=1
for name in bootstrap development; do
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make lock" "$@" requirements/$name.in -o requirements/$name.lock
done
.venv/bin/python -m tools.image_requirements
