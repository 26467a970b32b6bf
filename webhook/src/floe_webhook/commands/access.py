"""The way to a cluster that a person has: a kubeconfig, or the service account of the pod that the command runs in.

A kubeconfig is read by the Kubernetes project's own library (extra `cluster` of this distribution), which knows exec
plugins, client certificates, tokens and merged files; the requests are ours (`floe_webhook.cluster.api`).
"""

import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from floe_core.errors import ConfigurationError, told
from floe_webhook.cluster.api import Access, KubernetesApi, in_cluster

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_BEARER = "Bearer "
_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """A way to a cluster.

    Attributes:
        title: What a person calls it: the context's name.
        namespace: Where commands look that are not told a namespace.
    """

    access: Access
    title: str
    namespace: str


def cluster_access(kubeconfig: Path | None, context: str | None, environment: Mapping[str, str]) -> ClusterAccess:
    """The access that a person means: `--kubeconfig`, KUBECONFIG, ~/.kube/config, or the pod's own service account.

    Args:
        kubeconfig: A file; None for the usual places.
        context: One of its contexts; None for its current one.
        environment: The process's environment variables.

    Raises:
        ConfigurationError: There is none, or it cannot be used.
    """
    files = str(kubeconfig) if kubeconfig else environment.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if kubeconfig is None and context is None and not any(Path(file).exists() for file in files.split(os.pathsep)):
        if "KUBERNETES_SERVICE_HOST" in environment:
            return ClusterAccess(in_cluster(environment), "this pod's cluster", _own_namespace())
        raise ConfigurationError(
            "There is no kubeconfig, so it is not known which cluster is meant.",
            where=files,
            remedy="Give --kubeconfig FILE, or set KUBECONFIG.",
        )
    return _from_kubeconfig(files, context)


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[KubernetesApi]:
    """The API of a cluster, while the block runs."""
    # As kubectl: proxies of the environment count, but never for this machine itself.
    async with aiohttp.ClientSession(trust_env=not _is_this_machine(access.server)) as session:
        yield KubernetesApi(session, access)


def _from_kubeconfig(files: str, context: str | None) -> ClusterAccess:
    try:
        import yaml  # noqa: PLC0415 - comes with the extra
        from kubernetes import config  # noqa: PLC0415 - an extra, and slow to import
        from kubernetes.client import Configuration  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise ConfigurationError(
            "Reading a kubeconfig needs a library that is not installed.",
            remedy="Run `pip install 'floe-webhook[cluster]'`.",
        ) from None
    found = Configuration()
    try:
        contexts, current = config.list_kube_config_contexts(files)  # type: ignore[no-untyped-call]  # says no types
        chosen = next((one for one in contexts if one["name"] == context), None) if context else current
        if chosen is None:
            names = ", ".join(sorted(str(one["name"]) for one in contexts))
            raise ConfigurationError(f"There is no context {context!r}; there are: {names}.", where=files)
        config.load_kube_config(files, context, found, persist_config=False)  # type: ignore[no-untyped-call]  # as above
        tls = _tls(found)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:  # TypeError: its shape
        raise ConfigurationError(
            f"The kubeconfig cannot be used: {told(error)}",
            where=files,
            remedy="Try `kubectl get namespaces` with it.",
        ) from None
    # Plain HTTP is somebody's own proxy on this machine (`kubectl proxy`), which knows who asks.
    if found.host.startswith("https:") and not found.api_key and not found.cert_file:
        raise ConfigurationError(
            "The kubeconfig's user has neither a token nor a client certificate, and no program gave one.",
            where=files,
            remedy="Log in to the cluster again; what a login program said stands above.",
        )
    access = Access(found.host, tls, _token(found), found.tls_server_name or None, found.proxy or None)
    return ClusterAccess(access, str(chosen["name"]), chosen["context"].get("namespace") or _DEFAULT_NAMESPACE)


def _token(found: "Configuration") -> Callable[[], str | None]:
    def token() -> str | None:
        # Looks first whether what a login program gave has ended, and asks it again.
        header: Any = found.get_api_key_with_prefix("BearerToken")
        return str(header).removeprefix(_BEARER) if header else None

    return token


def _tls(found: "Configuration") -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if not found.verify_ssl:  # the kubeconfig's own insecure-skip-tls-verify
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if found.cert_file:
        tls.load_cert_chain(found.cert_file, found.key_file)
    return tls


def _own_namespace() -> str:
    file = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return file.read_text(encoding="ascii").strip() if file.exists() else _DEFAULT_NAMESPACE


def _is_this_machine(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
