"""What several checks want to know of a cluster, asked once: the installation's objects, namespaces, the manifest."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from floe_core.errors import FloeError
from floe_core.manifest import Manifest, read_manifest
from floe_webhook import pod as pods
from floe_webhook.cluster.api import METADATA_ONLY, KubernetesApi
from floe_webhook.decision import YES
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reload import read_profile

MANIFEST_KEY = "floe.yaml"
DEFAULT_RELEASE = "floe-injector"
DEFAULT_NAMESPACE = "floe-system"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"

Found = TypeVar("Found")


class MissingError(Exception):
    """What a check needs is not there; another check says so. The message is a sentence."""


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


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, by its document, of which the metadata suffice."""

    document: Document = field(repr=False)

    @property
    def name(self) -> str:
        """Its name."""
        return pods.text(self.document, "metadata", "name")

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return dict(pods.labels(self.document))

    @property
    def word(self) -> str | None:
        """What its label `floe.dev/inject` says."""
        return self.labels.get(pods.INJECT_LABEL)

    @property
    def opted_in(self) -> bool:
        """Whether its pods are injected unless they say otherwise."""
        return self.word in YES


@dataclass(frozen=True, slots=True)
class Platform:
    """The manifest in force, and what the webhook makes of it."""

    manifest: Manifest
    profile: Profile


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


@dataclass(slots=True)
class Cluster:
    """A cluster that is looked at; each question is asked once, whoever needs the answer.

    Every question may raise what `KubernetesApi` raises, e.g. RefusedError for want of rights.
    """

    api: KubernetesApi
    choices: Choices
    now: datetime
    _asked: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    async def configuration(self) -> Document | None:
        """The MutatingWebhookConfiguration; None if there is none."""
        return await self._once(
            "configuration",
            lambda: self.api.read(f"{CONFIGURATIONS}/{self.choices.configuration or self.choices.release}"),
        )

    async def entries(self) -> Sequence[Document]:
        """The entries of the webhook configuration.

        Raises:
            MissingError: There is no configuration.
        """
        configuration = await self.configuration()
        if configuration is None:
            raise MissingError("There is no webhook configuration to look at.")
        return pods.entries(configuration, "webhooks")

    async def names(self) -> Names:
        """What the installation's objects are called."""
        return names_in(await self.configuration(), self.choices)

    async def deployment(self) -> Document | None:
        """The webhook's Deployment; None if there is none.

        Raises:
            MissingError: The webhook is none of the cluster's.
        """
        names = await self.names()
        if not names.in_cluster:
            raise MissingError("The webhook runs outside of the cluster.")
        path = f"/apis/apps/v1/namespaces/{names.namespace}/deployments/{names.webhook}"
        return await self._once("deployment", lambda: self.api.read(path))

    async def secret_name(self) -> str:
        """The Secret with the webhook's certificates, as its Deployment names it."""
        told = argument_of(await self.deployment() or {}, "--certificate-secret")
        return told or (await self.names()).usual_secret

    async def certificate_secret(self) -> Document | None:
        """The Secret with the webhook's certificates; None if there is none."""
        path = f"/api/v1/namespaces/{(await self.names()).namespace}/secrets/{await self.secret_name()}"
        return await self._once("secret", lambda: self.api.read(path))

    async def namespaces(self) -> Sequence[Namespace]:
        """The namespaces that carry the label `floe.dev/inject`, or those that were asked for."""
        return await self._once("namespaces", self._namespaces)

    async def opted_in(self) -> Sequence[Namespace]:
        """The namespaces whose pods are injected."""
        return [namespace for namespace in await self.namespaces() if namespace.opted_in]

    async def platform(self) -> Platform:
        """The manifest in force, for what goes by it.

        Raises:
            MissingError: There is no manifest, or none that can be used here.
        """
        try:
            return await self.compiled_platform()
        except FloeError as error:
            raise MissingError(f"The manifest cannot be used: {error}") from None

    async def compiled_platform(self) -> Platform:
        """The manifest in force, compiled as the webhook does; its plugins have to be installed here, too.

        Raises:
            MissingError: There is no manifest.
            FloeError: It cannot be used; says why.
        """
        return await self._once("platform", self._compiled)

    async def manifest_text(self) -> str:
        """The manifest in force.

        Raises:
            MissingError: There is none.
        """
        if self.choices.manifest is not None:
            return self.choices.manifest.read_text(encoding="utf-8")
        names = await self.names()
        if not names.in_cluster:
            raise MissingError("The webhook runs outside of the cluster; give its manifest with --manifest.")
        found = await self.api.read(f"/api/v1/namespaces/{names.namespace}/configmaps/{names.manifest}")
        if found is None:
            raise MissingError(f"There is no ConfigMap {names.manifest} in the namespace {names.namespace}.")
        text = pods.mapping(found, "data").get(MANIFEST_KEY)
        if not isinstance(text, str):
            raise MissingError(f"The ConfigMap {names.manifest} has no key {MANIFEST_KEY}.")
        return text

    async def pods(self, namespace: str | None, **query: str) -> list[Document]:
        """The pods of one namespace or of all, their metadata only; the query is that of a list."""
        path = "/api/v1/pods" if namespace is None else f"/api/v1/namespaces/{namespace}/pods"
        pages = self.api.pages(path, query=query, accept=METADATA_ONLY)
        return [item async for page in pages for item in page]

    async def _namespaces(self) -> Sequence[Namespace]:
        if self.choices.namespaces:
            read = [await self.api.read(f"/api/v1/namespaces/{name}") for name in self.choices.namespaces]
            missing = [name for name, found in zip(self.choices.namespaces, read, strict=True) if found is None]
            if missing:
                raise MissingError(f"There is no namespace {', '.join(missing)}.")
            documents: list[Document] = [found for found in read if found is not None]
        else:
            query = {"labelSelector": pods.INJECT_LABEL}
            pages = self.api.pages("/api/v1/namespaces", query=query, accept=METADATA_ONLY)
            documents = [item async for page in pages for item in page]
        return [Namespace(one) for one in documents]

    async def _compiled(self) -> Platform:
        text, names = await self.manifest_text(), await self.names()
        return await asyncio.to_thread(_compiled, text, names.namespace)

    async def _once(self, question: str, ask: Callable[[], Awaitable[Found]]) -> Found:
        if question not in self._asked:
            self._asked[question] = asyncio.ensure_future(_as_coroutine(ask))
        found: Found = await self._asked[question]
        return found


def argument_of(deployment: Document, flag: str) -> str | None:
    """What a Deployment's first container is told by a flag written as `--flag=value`; None without it."""
    for container in pods.entries(pods.mapping(deployment, "spec", "template", "spec"), "containers")[:1]:
        for argument in pods.entries(container, "args"):
            name, equals, value = str(argument).partition("=")
            if name == flag and equals:
                return value
    return None


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


def _as_coroutine(ask: Callable[[], Awaitable[Found]]) -> Coroutine[Any, Any, Found]:
    async def asking() -> Found:
        return await ask()

    return asking()


def _compiled(text: str, release_namespace: str) -> Platform:
    with tempfile.TemporaryDirectory(prefix="floe-") as folder:
        file = Path(folder) / MANIFEST_KEY
        file.write_text(text, encoding="utf-8")
        return Platform(read_manifest(file).manifest, read_profile(file, release_namespace))
