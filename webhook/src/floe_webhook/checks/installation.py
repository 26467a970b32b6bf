"""What the objects of an installation are called: by the chart, by the person who asks, by the objects themselves."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from floe_webhook import pod as pods
from floe_webhook.pod import Document

DEFAULT_RELEASE = "floe-injector"
DEFAULT_NAMESPACE = "floe-system"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who checks says.

    Attributes:
        release: What the names of the release's objects begin with.
        configuration: The webhook configuration's name; None for the release's.
        release_namespace: Its namespace; None to take the one that the webhook configuration names.
        namespaces: Only these; empty for all that carry the label `floe.dev/inject`.
        manifest: A file in place of the cluster's ConfigMap.
        here: The namespace that the person's kubeconfig names.
    """

    release: str = DEFAULT_RELEASE
    configuration: str | None = None
    release_namespace: str | None = None
    namespaces: tuple[str, ...] = ()
    manifest: Path | None = None
    here: str = "default"


@dataclass(frozen=True, slots=True)
class Names:
    """What the chart calls the objects of a release.

    Attributes:
        configuration: The webhook configuration.
        namespace: The release's own.
        url_host: Host of the webhook's URL, if the API server calls it by one; None for its Service.
        in_cluster: Whether its other objects are to be found in the cluster.
    """

    release: str
    configuration: str
    namespace: str
    url_host: str | None = None
    in_cluster: bool = True

    @property
    def webhook(self) -> str:
        """Deployment, Service and service account."""
        return f"{self.release}-webhook"

    @property
    def usual_secret(self) -> str:
        """The webhook's certificates, unless the release names another Secret."""
        return f"{self.webhook}-certificate"

    @property
    def manifest(self) -> str:
        """The ConfigMap of the platform manifest."""
        return f"{self.release}-manifest"

    @property
    def server_name(self) -> str:
        """What the API server calls the webhook in its TLS handshake."""
        return self.url_host or f"{self.webhook}.{self.namespace}.svc"


def names_in(configuration: Document | None, choices: Choices) -> Names:
    """What the objects of an installation are called: by what the person says, or else by the webhook configuration."""
    clients = [pods.mapping(entry, "clientConfig") for entry in pods.entries(configuration or {}, "webhooks")]
    url = next((url for client in clients if (url := pods.text(client, "url"))), "")
    told = next((name for client in clients if (name := pods.text(client, "service", "namespace"))), None)
    return Names(
        choices.release,
        choices.configuration or choices.release,
        choices.release_namespace or told or DEFAULT_NAMESPACE,
        urlsplit(url).hostname,
        in_cluster=not url or choices.release_namespace is not None,
    )


def argument_of(deployment: Document, flag: str) -> str | None:
    """What a Deployment's first container is told by a flag written as `--flag=value`; None without it."""
    for container in pods.entries(pods.mapping(deployment, "spec", "template", "spec"), "containers")[:1]:
        for argument in pods.entries(container, "args"):
            name, equals, value = str(argument).partition("=")
            if name == flag and equals:
                return value
    return None
