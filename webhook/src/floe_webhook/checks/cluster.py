"""What several checks want to know of a cluster, asked once: the installation's objects, namespaces, the manifest."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from floe_core.errors import FloeError
from floe_core.manifest import Manifest, read_manifest
from floe_core.manifest.document import read_text
from floe_webhook import pod as pods
from floe_webhook.checks.installation import Choices, Names, argument_of, names_in
from floe_webhook.cluster.api import METADATA_ONLY, KubernetesApi
from floe_webhook.decision import YES
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reload import read_profile

MANIFEST_KEY = "floe.yaml"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"

_AT_A_TIME = 8
"""Questions that one person asks the API server; it gives each person a fair share (API priority and fairness)."""

Found = TypeVar("Found")


class MissingError(Exception):
    """What a check needs is not there; another check says so. The message is a sentence."""


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
            ConfigurationError: The file cannot be read.
        """
        if self.choices.manifest is not None:
            return read_text(self.choices.manifest)
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

    async def each(self, look: Callable[[Namespace], Awaitable[Found]]) -> list[Found]:
        """What is found in each namespace that opted in, some at a time, in their order."""
        return await some_at_a_time([partial(look, namespace) for namespace in await self.opted_in()])

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


async def some_at_a_time(questions: Sequence[Callable[[], Awaitable[Found]]]) -> list[Found]:
    """The answers in the order of the questions; the first failure, once all have ended."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def ask(question: Callable[[], Awaitable[Found]]) -> Found:
        async with places:
            return await question()

    answers = await asyncio.gather(*(ask(question) for question in questions), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _as_coroutine(ask: Callable[[], Awaitable[Found]]) -> Coroutine[Any, Any, Found]:
    async def asking() -> Found:
        return await ask()

    return asking()


def _compiled(text: str, release_namespace: str) -> Platform:
    with tempfile.TemporaryDirectory(prefix="floe-") as folder:
        file = Path(folder) / MANIFEST_KEY
        file.write_text(text, encoding="utf-8")
        return Platform(read_manifest(file).manifest, read_profile(file, release_namespace))
