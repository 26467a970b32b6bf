"""What the pages about lineage backends tell people to write does what they say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from floe_core.cli.helm_values import values_of
from floe_core.manifest.checking import plugin_problems
from floe_core.manifest.loading import parse_manifest
from floe_core.plugin_interfaces import PluginKind, PluginRegistry

pytestmark = pytest.mark.requirement("REQ-058", "REQ-059", "REQ-060")

ROOT = Path(__file__).parents[2]
NAMES = ("marquez", "atlan", "openmetadata")
_HEAD = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata:\n  name: acme-data\n"


def blocks(page: Path, section: str = "") -> Iterator[str]:
    """The YAML blocks of a page, or of one of its sections."""
    text = page.read_text(encoding="utf-8")
    if section:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    yield from re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)


def readme(name: str) -> Path:
    return ROOT / "plugins" / f"floe-lineage-{name}" / "README.md"


def document(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(text)
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_a_readmes_manifest_section_is_complete(name: str) -> None:
    section = next(blocks(readme(name)))
    loaded = parse_manifest(_HEAD + section, file=f"{name}/README.md")

    assert loaded.manifest.plugins.lineage_backend is not None
    assert plugin_problems(loaded, PluginRegistry()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_readmes_secret_has_the_key_that_its_credentials_name(name: str) -> None:
    documents = [document(text) for text in blocks(readme(name))]
    secrets = {found["metadata"]["name"]: found["stringData"] for found in documents if found.get("kind") == "Secret"}
    named = [source for found in documents for source in found.get("credentials", {}).values()]

    assert named
    for source in named:
        assert source["key"] in secrets[source["secret"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_tells_every_key_of_the_configuration(name: str) -> None:
    from_page = set(re.findall(r"^\| `(\w+)` \|", readme(name).read_text(encoding="utf-8"), flags=re.MULTILINE))
    schema = PluginRegistry().plugin_class(PluginKind.LINEAGE_BACKEND, name).config_schema

    assert schema is not None
    assert from_page == set(schema.model_fields)


@pytest.mark.parametrize("section", ["Marquez", "Atlan", "OpenMetadata"])
def test_the_guides_values_are_what_the_command_prints(section: str) -> None:
    found = list(blocks(ROOT / "docs" / "lineage-backends.md", section))
    manifest = parse_manifest(_HEAD + found[0], file=section).manifest

    assert values_of("lineage", manifest, None) == document(found[-1])
