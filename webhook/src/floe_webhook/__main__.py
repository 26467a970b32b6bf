"""`python -m floe_webhook`: the admission webhook."""

import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import click
import structlog
import uvloop

from floe_certs.authority import AUTHORITY_LIFETIME, SERVING_LIFETIME
from floe_core.errors import FloeError
from floe_core.logging import configure_logging
from floe_webhook.arguments import CERTIFICATES, FILES, Arguments
from floe_webhook.durations import parse_duration
from floe_webhook.following import Follow
from floe_webhook.lookups import BUDGET_SECONDS, Lookup
from floe_webhook.service import serve

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class _Duration(click.ParamType[timedelta]):
    """A length of time."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The length, or a usage error that says how to write one."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class _Port(click.IntRange):
    """A port; Kubernetes writes addresses of Services into variables that look like ours (`tcp://10.0.0.1:443`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The port; the default instead of a Service's address."""
        if isinstance(value, str) and "://" in value and param is not None and ctx is not None:
            value = param.get_default(ctx)
        return super().convert(value, param, ctx)


_PORT = _Port(0, 65535)


@click.command(context_settings={"auto_envvar_prefix": "FLOE_WEBHOOK", "show_default": True})
@click.option("--manifest", required=True, type=_FILE, help="The platform manifest; followed while serving.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8443, type=_PORT, help="For admissions, over TLS; 0 takes a free one.")
@click.option(
    "--health-port", default=8080, type=_PORT, help="For probes and metrics, without TLS; 0 takes a free one."
)
@click.option("--port-file", type=_FILE, help="Takes the number of --port once it is open.")
@click.option("--drain-seconds", default=0.0, type=click.FloatRange(0), help="How long to serve on after SIGTERM.")
@click.option(
    "--release-namespace",
    envvar=["FLOE_WEBHOOK_RELEASE_NAMESPACE", "FLOE_RELEASE_NAMESPACE"],
    help="Floe's own namespace: never injected.",
)
@click.option(
    "--pod-name",
    envvar=["FLOE_WEBHOOK_POD_NAME", "FLOE_POD_NAME"],
    default=socket.gethostname,
    show_default="the host's name",
    help="What tells this replica from the others.",
)
@click.option(
    "--certificates", default=FILES, type=click.Choice(CERTIFICATES), help="Where the serving certificate comes from."
)
@click.option("--tls-cert", type=_FILE, help="Serving certificate, PEM; followed while serving (files).")
@click.option("--tls-key", type=_FILE, help="Its key, PEM (files).")
@click.option("--certificate-secret", help="Secret that the replicas share (own, cert-manager, secret).")
@click.option("--lease", help="Lease by which one replica leads.")
@click.option("--webhook-configuration", help="MutatingWebhookConfiguration whose caBundle is kept.")
@click.option("--service", help="Service by which the API server calls; gives the certificate's name.")
@click.option(
    "--server-name",
    multiple=True,
    show_default="SERVICE.NAMESPACE.svc",
    help="Names and addresses in the certificate; the API server asks for the first.",
)
@click.option(
    "--serving-lifetime", default=f"{SERVING_LIFETIME.days}d", type=_Duration(), help="Of a certificate (own)."
)
@click.option(
    "--authority-lifetime", default=f"{AUTHORITY_LIFETIME.days}d", type=_Duration(), help="Of an authority (own)."
)
@click.option("--trust-settle", default="30s", type=_Duration(), help="Until every API server trusts a change.")
@click.option("--certificate-poll", default="5s", type=_Duration(), help="Between two looks at the Secret.")
@click.option("--owner-deployment", help="Deployment that owns what is made at run time: it goes when that goes.")
@click.option("--service-account", default=_SERVICE_ACCOUNT, type=_FOLDER, help="Folder of token and authority.")
@click.option("--otlp-endpoint", help="OTLP/gRPC address that takes a span for each admission; without one, none.")
@click.option(
    "--follow",
    multiple=True,
    type=click.Choice([str(one) for one in Follow]),
    show_default="nothing",
    help="What is done with pods after their admission; may be given several times.",
)
@click.option("--missed-pods-interval", default="5m", type=_Duration(), help="Between two looks for missed pods.")
@click.option(
    "--evict-per-round",
    default=0,
    type=click.IntRange(0),
    help="Missed pods that are evicted in a look; 0 evicts none.",
)
@click.option("--progress", help="ConfigMap that keeps how far ended pods were told.")
@click.option("--gateway-token-file", type=_FILE, help="Holds the release namespace's token for the gateway.")
@click.option(
    "--lookup",
    multiple=True,
    type=click.Choice([str(one) for one in Lookup]),
    show_default="nothing",
    help="What the cluster is asked for; may be given several times.",
)
@click.option(
    "--lookup-budget",
    default=f"{BUDGET_SECONDS}s",
    type=_Duration(),
    help="How long an admission waits for what it asks for, in all.",
)
@click.option("--oldest-kubelet", help="Its version, where nodes cannot be listed.")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", default="json", type=click.Choice(["json", "console"]))
def main(
    *,
    log_level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["json", "console"],
    **arguments: Any,
) -> None:
    """Serve admission requests over TLS until SIGTERM.

    Every flag may be given as a variable as well: --drain-seconds as FLOE_WEBHOOK_DRAIN_SECONDS.
    """
    configure_logging(log_level, log_format)
    try:
        uvloop.run(serve(Arguments(**arguments)))
    except FloeError as error:
        structlog.get_logger(__name__).error("not started", **error.as_dict())
        sys.exit(error.exit_code)
    except OSError as error:
        structlog.get_logger(__name__).error("not started", error=type(error).__name__, reason=error.strerror)
        sys.exit(1)


if __name__ == "__main__":
    main()
