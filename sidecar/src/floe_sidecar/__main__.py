"""`python -m floe_sidecar`: reads the environment, runs until SIGTERM, exits 0; 1 if it cannot start."""

from __future__ import annotations

import os
import sys

from floe_sidecar.footprint import lean_imports
from floe_sidecar.settings import SettingsError
from floe_sidecar.settings.protocol import settings_from


def main() -> int:
    """Runs a sidecar; gives the exit code."""
    try:
        settings, remarks = settings_from(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"floe_sidecar: {error}\n")
        return 1
    os.umask(0o077)  # the spool holds what the pipeline knows
    # Before the first import of asyncio: which modules it may load depends on the addresses.
    with lean_imports(tls=any(url.startswith("https:") for url in settings.urls)):
        import asyncio  # noqa: PLC0415 - after the choice
        import logging  # noqa: PLC0415 - after the choice

        from floe_sidecar.assembly import StartError  # noqa: PLC0415 - after the choice
        from floe_sidecar.logs import log, start_logging  # noqa: PLC0415 - after the choice
        from floe_sidecar.service import serve  # noqa: PLC0415 - after the choice
    start_logging(settings.log_level)
    for remark in remarks:
        log(logging.WARNING, "settings left out", remark=remark)
    try:
        asyncio.run(serve(settings))
    except StartError as error:
        sys.stderr.write(f"floe_sidecar: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
