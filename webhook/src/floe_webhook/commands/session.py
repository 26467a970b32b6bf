"""A cluster that a command looks at, from the options that a person gave."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.installation import Choices
from floe_webhook.commands.access import cluster_access, connected
from floe_webhook.commands.options import ClusterOptions


@asynccontextmanager
async def opened(
    options: ClusterOptions, *, manifest_file: Path | None = None, namespaces: tuple[str, ...] = ()
) -> AsyncIterator[Cluster]:
    """The cluster, while the block runs.

    Raises:
        ConfigurationError: There is no way to a cluster.
    """
    found = cluster_access(options.kubeconfig, options.context, os.environ)
    choices = Choices(
        options.release,
        options.configuration,
        options.release_namespace,
        namespaces,
        manifest_file,
        found.namespace,
    )
    async with connected(found.access) as api:
        yield Cluster(api, choices, datetime.now(UTC))
