"""The OpenLineage client of a plugin's transport, with its credentials resolved for this process."""

import os
from collections.abc import Mapping

from openlineage.client import OpenLineageClient

from floe_core.credentials import resolve_all
from floe_core.errors import ConfigurationError
from floe_core.plugin_interfaces.lineage import OpenLineageTransport


def client_for(transport: OpenLineageTransport, environ: Mapping[str, str] | None = None) -> OpenLineageClient:
    """A client that sends to a transport; the client itself does not expand `${env:NAME}`, so it is done here.

    Args:
        transport: Where and how events are sent.
        environ: Where credentials are looked up; by default this process's environment.

    Raises:
        ConfigurationError: A credential is not set, or the client refuses the configuration; says which.
    """
    config = resolve_all(transport.client_config(), os.environ if environ is None else environ)
    try:
        return OpenLineageClient(config={"transport": config})
    except (ImportError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The OpenLineage client refuses the transport: {error}.",
            remedy="Check url, endpoint, auth and retry of the lineage backend.",
            details={"transport": transport.type, "url": transport.url},
        ) from None
