"""What every telemetry backend plugin must satisfy (REQ-051 to REQ-054)."""

import re
import time

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import names_in
from floe_core.plugin_interfaces import OTLPExporterConfig, TelemetryBackendPlugin
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes.base_plugin_tests import CONNECTION_SECONDS, BasePluginTests
from floe_core.testing.collector import collector_problems
from floe_core.testing.credentials_probe import CANARY, as_plain, assert_no_credentials, canaries
from floe_core.testing.loopback import closed_port

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HOST_AND_PORT = re.compile(r"[^\s/:@]+:\d{1,5}")
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s?#]*)?")


class BaseTelemetryBackendPluginTests(BasePluginTests):
    """Exporter configuration, Helm values and connection check of a telemetry backend."""

    @pytest.fixture
    def plugin(self) -> TelemetryBackendPlugin:
        """The plugin under test, configured as in a manifest. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture(params=["development", "staging", "production"])
    def environment(self, request: pytest.FixtureRequest) -> str:
        """Name of a deployment environment. May be overridden."""
        return str(request.param)

    @pytest.fixture
    def artifacts(self) -> CompiledArtifacts:
        """A product's artifacts. May be overridden."""
        return sample_artifacts()

    @pytest.fixture
    def config(
        self, plugin: TelemetryBackendPlugin, environment: str, monkeypatch: pytest.MonkeyPatch
    ) -> OTLPExporterConfig:
        """The plugin's exporter configuration; every credential that it names is set to a value that is recognised."""
        names = names_in(as_plain(plugin.get_otlp_exporter_config(environment)))
        for name, value in canaries(names).items():
            monkeypatch.setenv(name, value)
        return plugin.get_otlp_exporter_config(environment)

    @pytest.fixture
    def refused_config(self, config: OTLPExporterConfig) -> OTLPExporterConfig:
        """The configuration with a backend that refuses connections. May be overridden."""
        address = f"127.0.0.1:{closed_port()}"
        endpoint = address if config.protocol == "grpc" else f"http://{address}"
        signals = {signal: f"{endpoint}/v1/{signal}" for signal in config.signal_endpoints}
        return config.model_copy(update={"endpoint": endpoint, "signal_endpoints": signals})

    @pytest.mark.requirement("REQ-051", "REQ-052")
    def test_the_exporter_config_is_the_interfaces_model(self, config: OTLPExporterConfig) -> None:
        assert isinstance(config, OTLPExporterConfig), f"it is {type(config).__name__}, not OTLPExporterConfig"
        OTLPExporterConfig.model_validate(config.model_dump())
        assert config.signals, "a backend that accepts no signal is none"

    @pytest.mark.requirement("REQ-052")
    def test_the_exporter_config_is_the_same_each_time(
        self, plugin: TelemetryBackendPlugin, environment: str, config: OTLPExporterConfig
    ) -> None:
        assert plugin.get_otlp_exporter_config(environment) == config

    @pytest.mark.requirement("REQ-052")
    def test_the_endpoint_has_the_protocols_shape(self, config: OTLPExporterConfig) -> None:
        if config.protocol == "grpc":
            assert _HOST_AND_PORT.fullmatch(config.endpoint), f"grpc takes host:port, not {config.endpoint!r}"
        else:
            assert _URL.fullmatch(config.endpoint), f"http/protobuf takes a base URL, not {config.endpoint!r}"
            for signal in ("traces", "metrics", "logs"):
                ending = f"/v1/{signal}"
                assert not config.endpoint.endswith(ending), f"the Collector appends {ending} itself"
        for signal, url in config.signal_endpoints.items():
            assert _URL.fullmatch(url), f"the endpoint of {signal} is used as it is and must be a URL, not {url!r}"
            assert signal in config.signals, f"{signal} has an endpoint but is not among the signals"

    @pytest.mark.requirement("REQ-052")
    def test_header_names_are_lower_case(self, config: OTLPExporterConfig) -> None:
        wrong = [name for name in config.headers if not _HEADER_NAME.fullmatch(name)]
        assert not wrong, f"OTLP over gRPC takes lower-case header names only, and HTTP does not mind: {wrong}"

    @pytest.mark.requirement("REQ-052", "HOUSE-7")
    def test_credentials_are_references(self, config: OTLPExporterConfig) -> None:
        assert_no_credentials(config, "the exporter configuration")

    @pytest.mark.requirement("REQ-053")
    def test_helm_values_are_accepted_by_the_collectors_chart(
        self, plugin: TelemetryBackendPlugin, artifacts: CompiledArtifacts, environment: str
    ) -> None:
        values = plugin.get_helm_values(artifacts, environment)
        assert isinstance(values, dict), f"they are {type(values).__name__}, not a dict"
        problems = collector_problems(as_plain(values))
        assert not problems, "; ".join(problems)

    @pytest.mark.requirement("REQ-053", "REQ-052")
    def test_helm_values_export_to_the_configured_backend(
        self, plugin: TelemetryBackendPlugin, artifacts: CompiledArtifacts, environment: str, config: OTLPExporterConfig
    ) -> None:
        values = plugin.get_helm_values(artifacts, environment)
        if not values:
            return
        service = values["config"]["service"]
        exported = {name.split("/")[0] for name in service["pipelines"]}
        assert exported == set(config.signals), (
            f"pipelines export {sorted(exported)}, the backend takes {config.signals}"
        )
        ours = (config.endpoint, *config.signal_endpoints.values())
        for name, exporter in values["config"]["exporters"].items():
            endpoints = [value for key, value in (exporter or {}).items() if key.endswith("endpoint")]
            assert all(endpoint in ours for endpoint in endpoints), f"{name} exports elsewhere: {endpoints}"

    @pytest.mark.usefixtures("config")  # sets the credentials that the plugin names
    @pytest.mark.requirement("REQ-053", "HOUSE-7")
    def test_helm_values_hold_no_credential(
        self, plugin: TelemetryBackendPlugin, artifacts: CompiledArtifacts, environment: str
    ) -> None:
        assert_no_credentials(plugin.get_helm_values(artifacts, environment), "the Helm values")

    @pytest.mark.requirement("HOUSE-7", "CC-3.1")
    def test_its_own_text_holds_no_credential(self, plugin: TelemetryBackendPlugin, config: OTLPExporterConfig) -> None:
        for text in (repr(plugin), str(plugin), repr(plugin.config), repr(config)):
            assert_no_credentials(text, "repr()")

    @pytest.mark.requirement("REQ-054")
    def test_a_refused_connection_is_false_and_no_exception(
        self, plugin: TelemetryBackendPlugin, refused_config: OTLPExporterConfig
    ) -> None:
        started = time.monotonic()
        reached = plugin.validate_connection(refused_config)
        assert reached is False, f"it is {reached!r}, not False"
        assert time.monotonic() - started < CONNECTION_SECONDS, "REQ-054: at most ten seconds"

    @pytest.mark.requirement("REQ-054")
    def test_a_missing_credential_is_false_and_no_exception(
        self, plugin: TelemetryBackendPlugin, refused_config: OTLPExporterConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in names_in(as_plain(refused_config)):
            monkeypatch.delenv(name, raising=False)
        reached = plugin.validate_connection(refused_config)
        assert reached is False, f"it is {reached!r}, not False"

    @pytest.mark.requirement("REQ-054", "HOUSE-7")
    def test_the_connection_check_does_not_print_a_credential(
        self,
        plugin: TelemetryBackendPlugin,
        refused_config: OTLPExporterConfig,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level("DEBUG"):
            plugin.validate_connection(refused_config)
        printed = capfd.readouterr()
        assert CANARY not in printed.out + printed.err + caplog.text
