"""How lineage backends are probed: the address and the credential come from the transport that events would use."""

import os
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from floe_core.credentials import resolve, resolve_all
from floe_core.errors import ConfigurationError
from floe_core.plugin_interfaces.connection import HttpProbe, Verdict, probe_http, probe_tcp
from floe_core.plugin_interfaces.lineage import OpenLineageTransport

_PORTS = {"http": 80, "https": 443}


def probe_server(
    transport: OpenLineageTransport, *, timeout_seconds: float, environ: Mapping[str, str] | None = None
) -> Verdict:
    """Whether something listens at the transport's address: the probe of a backend that one hosts oneself.

    Raises:
        ConfigurationError: The transport has no address, or a credential that it names is not set.
    """
    url = urlsplit(_url(transport))
    resolve_all(transport.client_config(), os.environ if environ is None else environ)
    return probe_tcp(url.hostname or "", url.port or _PORTS.get(url.scheme, 80), timeout_seconds=timeout_seconds)


def probe_account(
    transport: OpenLineageTransport, path: str, *, timeout_seconds: float, environ: Mapping[str, str] | None = None
) -> Verdict:
    """Whether the backend answers a GET of a path with the transport's API key as Bearer token.

    Raises:
        ConfigurationError: The transport has no address, or its API key is not set.
    """
    key = resolve(transport.auth.get("apiKey", ""), os.environ if environ is None else environ)
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    probe = HttpProbe("GET", urljoin(_url(transport), path), headers)
    return probe_http(probe, timeout_seconds=timeout_seconds, verify=transport.verify)


def _url(transport: OpenLineageTransport) -> str:
    if not transport.url:
        raise ConfigurationError("The transport has no address.", remedy="Set `url` of the lineage backend.")
    return transport.url
