"""`python -m floe_webhook`: the admission webhook."""

import sys
from pathlib import Path
from typing import Literal

import click
import structlog
import uvloop

from floe_core.errors import FloeError
from floe_core.logging import configure_logging
from floe_webhook.service import Arguments, serve

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--manifest", required=True, type=_FILE, help="The platform manifest; followed while serving.")
@click.option("--tls-cert", required=True, type=_FILE, help="Serving certificate, PEM; followed while serving.")
@click.option("--tls-key", required=True, type=_FILE, help="Its key, PEM.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8443, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--port-file", type=_FILE, help="Takes the port's number once it is open.")
@click.option("--drain-seconds", default=0.0, show_default=True, help="How long to serve on after SIGTERM.")
@click.option("--release-namespace", envvar="FLOE_RELEASE_NAMESPACE", help="Floe's own namespace: never injected.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@click.option("--log-format", default="json", show_default=True, type=click.Choice(["json", "console"]))
def main(
    *,
    log_level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["json", "console"],
    **arguments: object,
) -> None:
    """Serve admission requests over TLS until SIGTERM."""
    configure_logging(log_level, log_format)
    try:
        uvloop.run(serve(Arguments(**arguments)))  # type: ignore[arg-type]  # click gives what each option declares
    except FloeError as error:
        structlog.get_logger(__name__).error("not started", **error.as_dict())
        sys.exit(error.exit_code)
    except OSError as error:
        structlog.get_logger(__name__).error("not started", error=type(error).__name__, reason=error.strerror)
        sys.exit(1)


if __name__ == "__main__":
    main()
