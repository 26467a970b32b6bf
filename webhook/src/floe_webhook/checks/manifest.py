"""Whether the manifest can be used, and whether the Secrets that it names are where pods need them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from floe_core.credentials import SecretKey
from floe_core.errors import FloeError
from floe_core.manifest.loading import parse_manifest
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import MANIFEST_KEY, Cluster, Namespace
from floe_webhook.checks.results import Check, Finding, counted, failed, or_ok, skipped, warning
from floe_webhook.profile import Profile
from floe_webhook.variables import Variable

Keys = frozenset[str]


def judge_secrets(needed: Sequence[SecretKey], present: Mapping[str, Mapping[str, Keys | None]]) -> list[Finding]:
    """Whether each namespace has each Secret with its keys.

    Args:
        needed: What the manifest names for pods.
        present: The keys of each Secret by namespace and name; None for a Secret that is not there.
    """
    check = Check.SECRETS
    found = [
        warning(
            check,
            sentence,
            "Create it; pods start without it (optional: true), but the backend refuses what they send.",
        )
        for namespace, secrets in present.items()
        for secret in needed
        if (sentence := _lacking(secret, namespace, secrets))
    ]
    return or_ok(
        found, check, f"Every Secret that pods need, with its key, is in {counted(len(present), 'namespace')}."
    )


def wantedof(profile: Profile) -> list[SecretKey]:
    """The Secrets and keys that pods are told to use by a profile, each once."""
    delivered = profile.sidecar.delivery.files.values() if profile.sidecar else ()
    named = [*delivered, *(secret for one in _variables(profile) if (secret := one.secret))]
    return list(dict.fromkeys(named))


async def manifest(cluster: Cluster) -> list[Finding]:
    """Compiles the manifest as the webhook does."""
    check = Check.MANIFEST
    try:
        platform = await cluster.compiled_platform()
    except FloeError as error:
        text = await cluster.manifest_text()
        if absent := await asyncio.to_thread(plugins_that_are_not_here, text):
            remedy = "Install it beside this command, at the version that the webhook's image has."
            return [skipped(check, f"The plugin {absent[0]} is not installed here, so nothing can be said.", remedy)]
        sentence = f"The manifest cannot be used: {error}"
        return [failed(check, sentence, "The last good one stays in force until a webhook starts anew; correct it.")]
    told = [warning(check, notice, "Change the manifest, or accept it.") for notice in platform.profile.notices]
    return or_ok(told, check, f"The manifest of {platform.manifest.metadata.name} is right.")


def plugins_that_are_not_here(text: str) -> list[str]:
    """Types of backends that a manifest names and this machine does not have; none if it is no manifest."""
    try:
        plugins = parse_manifest(text, file=MANIFEST_KEY).manifest.plugins
    except FloeError:
        return []
    registry = PluginRegistry()
    chosen = {
        PluginKind.TELEMETRY_BACKEND: plugins.telemetry_backend,
        PluginKind.LINEAGE_BACKEND: plugins.lineage_backend,
    }
    return [
        choice.type
        for kind, choice in chosen.items()
        if choice is not None and choice.type not in {entry.name for entry in registry.entries(kind)}
    ]


async def secrets(cluster: Cluster) -> list[Finding]:
    """Gets each named Secret in each namespace that opted in; only the names of keys are looked at."""
    needed = wantedof((await cluster.platform()).profile)
    if not needed:
        return [skipped(Check.SECRETS, "The manifest names no Secret that pods need.")]
    names = [namespace.name for namespace in await cluster.opted_in()]
    present = await cluster.each(partial(_keys_in, cluster, {secret.secret for secret in needed}))
    return judge_secrets(needed, dict(zip(names, present, strict=True)))


async def _keys_in(cluster: Cluster, wanted: AbstractSet[str], namespace: Namespace) -> dict[str, Keys | None]:
    found = {name: await cluster.api.read(f"/api/v1/namespaces/{namespace.name}/secrets/{name}") for name in wanted}
    return {name: None if secret is None else frozenset(pods.mapping(secret, "data")) for name, secret in found.items()}


def _lacking(secret: SecretKey, namespace: str, present: Mapping[str, Keys | None]) -> str | None:
    keys = present.get(secret.secret)
    if keys is None:
        return f"The namespace {namespace} has no Secret {secret.secret} (key {secret.key})."
    return None if secret.key in keys else f"The Secret {secret.secret} of {namespace} has no key {secret.key}."


def _variables(profile: Profile) -> Iterator[Variable]:
    for telemetry in (profile.telemetry_with_sidecar, profile.telemetry_without_sidecar):
        yield from telemetry.variables if telemetry else ()
    for lineage in (profile.lineage_with_sidecar, profile.lineage_without_sidecar):
        yield from lineage.credentials if lineage else ()
