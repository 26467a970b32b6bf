"""docs/plugins.md: the plugin that it builds passes the suite that it names, and its table is complete."""

import re
from pathlib import Path

import pytest

from core.tests.compliance.inner_run import failures_by_class
from floe_core.plugin_interfaces import PluginKind
from floe_core.plugin_interfaces.registry import INTERFACES
from floe_core.testing import base_classes

pytestmark = pytest.mark.requirement("CC-4.1", "REQ-055")

PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"


def test_the_plugin_of_the_page_passes_its_suite(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = tmp_path / "test_acme_telemetry.py"
    module.write_text("\n".join(blocks), encoding="utf-8")
    assert failures_by_class(module) == {"TestAcmeTelemetry": set()}


def test_the_page_names_every_kind_with_its_interface_group_and_suite() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for kind in PluginKind:
        assert f"| `{INTERFACES[kind].__name__}` | `{kind.entry_point_group}` |" in text
    for suite in set(base_classes.__all__) - {"BasePluginTests"}:
        assert f"`{suite}`" in text
