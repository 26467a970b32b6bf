"""The example manifests are right, and the first of them shows every key with its default."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from floe_core.cli.helm_values import values_of
from floe_core.manifest import load_manifest
from floe_core.manifest.checking import plugin_problems
from floe_core.manifest.loading import read_manifest
from floe_core.manifest.models import Injection, Logging, Manifest, Monitoring
from floe_core.manifest.problems import model_in
from floe_core.plugin_interfaces import PluginKind, PluginRegistry
from floe_core.testing.collector import collector_problems
from floe_core.testing.hardcoded import hardcoded_credentials
from floe_core.testing.job_environment import job_values_problems

pytestmark = pytest.mark.requirement("HOUSE-8", "REQ-055", "REQ-060")

EXAMPLES = Path(__file__).parents[2] / "examples"
PLUGINS = Path(__file__).parents[2] / "plugins"
COMPLETE = EXAMPLES / "manifest.yaml"
ALL = [COMPLETE, *sorted((EXAMPLES / "manifests").glob("*.yaml"))]

# What a complete manifest leaves out: nothing is installed for it, or it excludes a key that is shown.
LEFT_OUT = {
    "plugins.orchestrator",
    "plugins.*.version",
    "plugins.*.connection_secret_ref",
    "namespaces.template",
    "injection.gateway.url",
}

_SECRET = re.compile(r"```yaml\n(apiVersion: v1\nkind: Secret\n.*?)```", re.DOTALL)

each_example = pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)


def secrets_of_readmes() -> set[tuple[str, str]]:
    """Name and key of what the backends' READMEs tell people to create."""
    pages = [page.read_text(encoding="utf-8") for page in PLUGINS.glob("*/README.md")]
    secrets = [YAML(typ="safe").load(text) for page in pages for text in _SECRET.findall(page)]
    return {(secret["metadata"]["name"], key) for secret in secrets for key in secret["stringData"]}


@each_example
def test_an_example_is_valid_and_up_to_date(path: Path) -> None:
    assert load_manifest(path).metadata.owner
    assert read_manifest(path).deprecations == ()


@each_example
def test_every_plugin_that_an_example_names_can_be_created_and_finds_its_credentials(path: Path) -> None:
    assert plugin_problems(read_manifest(path), PluginRegistry()) == []


@each_example
def test_every_alert_channel_of_an_example_can_be_created(path: Path) -> None:
    for channel in load_manifest(path).plugins.alert_channels:
        assert PluginRegistry().create(PluginKind.ALERT_CHANNEL, channel).name == channel.type


@each_example
def test_an_example_gives_values_for_both_charts(path: Path) -> None:
    manifest = load_manifest(path)

    assert collector_problems(values_of("telemetry", manifest, None)) == []
    assert job_values_problems(values_of("lineage", manifest, None)) == []


@each_example
def test_an_example_and_its_backends_readmes_speak_of_the_same_secrets(path: Path) -> None:
    manifest = load_manifest(path)
    values = [
        *values_of("telemetry", manifest, None).get("extraEnvs", []),
        *values_of("lineage", manifest, None)["env"],
    ]
    sources = [entry["valueFrom"]["secretKeyRef"] for entry in values if "valueFrom" in entry]

    assert {(source["name"], source["key"]) for source in sources} <= secrets_of_readmes()


@each_example
def test_an_example_holds_no_credential(path: Path) -> None:
    document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))

    assert hardcoded_credentials(document["plugins"]) == []


def test_the_complete_example_shows_every_key() -> None:
    document = YAML(typ="safe").load(COMPLETE.read_text(encoding="utf-8"))

    assert sorted(set(missing(Manifest, document)) - LEFT_OUT) == []


def test_what_the_complete_example_calls_a_default_is_one() -> None:
    manifest = load_manifest(COMPLETE)
    unrouted = manifest.monitoring.alerts.model_copy(update={"routing_rules": ()})

    assert manifest.injection == Injection()
    assert manifest.monitoring.model_copy(update={"alerts": unrouted}) == Monitoring()
    assert manifest.logging == Logging()


def missing(model: type[BaseModel], document: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the model's keys that the document does not have; every plugin's choice is `plugins.*`."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        here = f"{path}.{key}" if path else key
        if key not in document:
            yield here
        elif (inner := model_in(field.annotation)) is not None:
            of_plugin = "plugins.*" if path == "plugins" else here
            found = document[key]
            for entry in found if isinstance(found, list) else [found]:
                if entry is None:  # a section that is left out
                    continue
                is_named = key == "credentials"
                for part in entry.values() if is_named else [entry]:
                    yield from missing(inner, part, of_plugin)
