"""The manifests in the plugin's README are what the plugins take."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from floe_catalog_iceberg.rest import RestCatalogPlugin
from floe_catalog_iceberg.sql import SqlCatalogPlugin

pytestmark = pytest.mark.requirement("CC-2.4", "HOUSE-7")

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
PLUGINS = {plugin.name: plugin for plugin in (RestCatalogPlugin, SqlCatalogPlugin)}


def test_there_is_an_example_for_each_product() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_taken_and_holds_no_credential(example: str) -> None:
    choice = YAML(typ="safe").load(example)["plugins"]["catalog"]
    plugin = PLUGINS[choice["type"]].from_mapping(choice["config"])
    assert plugin.is_configured
    assert "${env:" in example
