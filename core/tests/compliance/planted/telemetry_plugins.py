# ruff: noqa: ARG002 - overridden methods take what the interface gives them
"""A good telemetry backend plugin, and one with a defect of each kind; the suite runs on them in an inner pytest."""

import os
import socket
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces import OTLPExporterConfig, TelemetryBackendPlugin
from floe_core.testing.base_classes import BaseTelemetryBackendPluginTests


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "otel.acme.example"


class Good(TelemetryBackendPlugin):
    name = "acme"
    version = "1.0.0"
    config_schema: ClassVar[type[BaseModel] | None] = Settings

    def __init__(self, config: BaseModel | None = None) -> None:
        super().__init__(config or Settings())

    def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
        return OTLPExporterConfig(
            endpoint="https://otel.acme.example",
            protocol="http/protobuf",
            headers={"acme-api-key": "${env:ACME_API_KEY}", "acme-environment": environment},
        )

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        config = self.get_otlp_exporter_config(environment)
        exporter = {"endpoint": config.endpoint, "headers": config.headers, "compression": config.compression}
        return {
            "mode": "deployment",
            "image": {"repository": "otel/opentelemetry-collector-k8s"},
            "config": {
                "exporters": {"otlp_http/acme": exporter},
                "service": {
                    "extensions": ["health_check"],
                    "pipelines": {signal: {"exporters": ["otlp_http/acme"]} for signal in config.signals},
                },
            },
        }

    def validate_connection(self, config: OTLPExporterConfig) -> bool:
        if not os.environ.get("ACME_API_KEY"):
            return False
        host, _, port = config.endpoint.removeprefix("http://").partition(":")
        try:
            socket.create_connection((host, int(port or 443)), timeout=1).close()
        except OSError:
            return False
        return True


class TestGood(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        return Good(Settings())


class TestWrongType(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
                return super().get_otlp_exporter_config(environment).model_dump()  # type: ignore[return-value]  # planted

        return Defective()


class TestHardCodedHeader(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
                good = super().get_otlp_exporter_config(environment)
                return good.model_copy(update={"headers": {"acme-api-key": "0123"}})

        return Defective()


class TestHardCodedInHelmValues(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
                key = {"name": "ACME_API_KEY", "value": "hunter2hunter2"}
                return super().get_helm_values(artifacts, environment) | {"extraEnvs": [key]}

        return Defective()


class TestResolvesItsCredential(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
                good = super().get_otlp_exporter_config(environment)
                key = os.environ.get("ACME_API_KEY") or "${env:ACME_API_KEY}"
                return good.model_copy(update={"headers": {"acme-routing": key}})

        return Defective()


class TestSecretInRepr(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def __repr__(self) -> str:
                return "Defective(authorization='Bearer c2VjcmV0c2VjcmV0')"

        return Defective()


class TestRaisesWhenUnreachable(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OTLPExporterConfig) -> bool:
                socket.create_connection(("otel.acme.example", 443), timeout=1).close()
                return True

        return Defective()


class TestAlwaysReachable(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OTLPExporterConfig) -> bool:
                return True

        return Defective()


class TestPrintsItsCredential(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OTLPExporterConfig) -> bool:
                print("trying", os.environ.get("ACME_API_KEY"))  # noqa: T201 - planted
                return False

        return Defective()


class TestUrlForGrpc(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
                return super().get_otlp_exporter_config(environment).model_copy(update={"protocol": "grpc"})

        return Defective()


class TestUpperCaseHeader(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
                good = super().get_otlp_exporter_config(environment)
                return good.model_copy(update={"headers": {"DD-API-KEY": "${env:ACME_API_KEY}"}})

        return Defective()


class CollectorDefect(Good):
    """Spoils one part of the Collector's configuration."""

    def spoil(self, config: dict[str, Any]) -> None:
        raise NotImplementedError

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        values = super().get_helm_values(artifacts, environment)
        self.spoil(values["config"])
        return values


class TestRetiredExporter(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["exporters"] = {"jaeger": {"endpoint": "jaeger:14250"}}
                config["service"]["pipelines"] = {"traces": {"exporters": ["jaeger"]}}

        return Defective()


class TestMistypedExporterField(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["exporters"]["otlp_http/acme"]["compresion"] = "gzip"

        return Defective()


class TestUndefinedExporter(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["service"]["pipelines"]["traces"]["exporters"] = ["otlp_http/other"]

        return Defective()


class TestUndefinedAuthenticator(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["exporters"]["otlp_http/acme"]["auth"] = {"authenticator": "basicauth/acme"}

        return Defective()


class TestNoHealthCheck(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["service"]["extensions"] = []

        return Defective()


class TestExportsElsewhere(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(CollectorDefect):
            def spoil(self, config: dict[str, Any]) -> None:
                config["exporters"]["otlp_http/acme"]["endpoint"] = "https://elsewhere.example"

        return Defective()


class TestUnknownChartValue(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
                return super().get_helm_values(artifacts, environment) | {"colector": {}}

        return Defective()


class TestLooseConfiguration(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Loose(BaseModel):
            mode: Literal["a", "b"] = "a"

        class Defective(Good):
            config_schema = Loose

        return Defective(Loose())


class TestFutureInterfaces(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            floe_api_version = "2.0"

        return Defective()


class TestTalksWhileConstructed(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def __init__(self, config: BaseModel | None = None) -> None:
                super().__init__(config)
                try:
                    socket.create_connection(("127.0.0.1", 9), timeout=1).close()
                except OSError:
                    return

        return Defective()


class TestForgetsAParameter(BaseTelemetryBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_helm_values(self, artifacts: CompiledArtifacts) -> dict[str, Any]:  # type: ignore[override]  # planted
                return {}

        return Defective()
