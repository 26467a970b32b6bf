"""From a manifest to plugins."""

from pathlib import Path

import pytest

from floe_core.errors import ConfigurationError
from floe_core.manifest.loading import parse_manifest
from floe_core.manifest.models import Manifest
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.testing.lineage_receiver import lineage_receiver
from floe_monitor.alerts.console import ConsoleAlertPlugin
from floe_monitor.service.lineage import events_of
from floe_monitor.service.wiring import Plugins, create_plugins
from monitor.tests.builders import check_run, outcome
from monitor.tests.service.test_assertions import named

pytestmark = pytest.mark.requirement("FR-027", "FR-044", "HOUSE-7")
HEAD = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: test}\nplugins:\n"
COMPUTE = "  compute: {type: duckdb, config: {path: /tmp/w.duckdb}}\n"
HOOK = "  alert_channels: [{name: ops, type: webhook, config: {url: '${env:HOOK}'}}]\n"
LINEAGE = "  lineage_backend: {type: marquez, config: {url: 'http://127.0.0.1:9'}}\n"


def manifest(text: str) -> Manifest:
    return parse_manifest(HEAD + text, file="manifest.yaml").manifest


def created(text: str, *, terminal: bool = False, **environ: str) -> Plugins:
    return create_plugins(manifest(text), PluginRegistry(), environ, terminal=terminal)


def test_credentials_come_from_the_environment() -> None:
    channel = created(COMPUTE + HOOK, HOOK="http://127.0.0.1:9/s3cr3t").channels["ops"]
    assert channel.validate_config() == []
    assert "s3cr3t" not in repr(channel.config)


def test_a_missing_credential_is_named() -> None:
    with pytest.raises(ConfigurationError, match="credential HOOK is not set"):
        created(COMPUTE + HOOK)


def test_a_channel_that_cannot_work_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"alert_channels\[ops\].*no http or https address"):
        created(COMPUTE + HOOK, HOOK="gopher://x")


def test_without_a_compute_nothing_can_be_asked() -> None:
    with pytest.raises(ConfigurationError, match="names no compute"):
        created(HOOK, HOOK="http://127.0.0.1:9/x")


def test_at_a_terminal_alerts_are_shown_unless_the_manifest_does_it_already() -> None:
    assert isinstance(created(COMPUTE, terminal=True).channels["terminal"], ConsoleAlertPlugin)
    assert created(COMPUTE).channels == {}
    own = COMPUTE + "  alert_channels: [{name: here, type: console}]\n"
    assert set(created(own, terminal=True).channels) == {"here"}


@pytest.mark.requirement("FR-023")
def test_lineage_goes_through_the_backends_transport_if_there_is_one() -> None:
    assert created(COMPUTE).emit_lineage is None
    assert created(COMPUTE + LINEAGE).emit_lineage is not None


@pytest.mark.requirement("FR-023", "HOUSE-4")
@pytest.mark.parametrize("manifest_text", [COMPUTE, COMPUTE + LINEAGE], ids=["no backend", "another backend"])
def test_lineage_goes_to_the_relay_if_there_is_one(manifest_text: str) -> None:
    with lineage_receiver() as relay:
        emit = create_plugins(manifest(manifest_text), PluginRegistry(), {}, lineage_relay=relay.origin).emit_lineage
        assert emit is not None
        for event in events_of(check_run(outcome()), named):
            emit(event)
    assert [one.path for one in relay.received] == ["/api/v1/lineage"] * 2
    assert [one.body["eventType"] for one in relay.received] == ["START", "COMPLETE"]


def test_the_example_manifest_can_be_used() -> None:
    text = (Path(__file__).parents[3] / "examples" / "manifest.yaml").read_text()
    plugins = create_plugins(
        parse_manifest(text, file="manifest.yaml").manifest,
        PluginRegistry(),
        {"ALERT_WEBHOOK_URL": "http://127.0.0.1:9/x"},
    )
    assert plugins.source.name == "duckdb"
    assert set(plugins.channels) == {"ops"}
