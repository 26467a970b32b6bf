# ruff: noqa: ARG002 - overridden methods take what the interface gives them
"""A good lineage backend plugin, and one with a defect of each kind; the suite runs on them in an inner pytest."""

import os
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.testing.base_classes import BaseLineageBackendPluginTests


class Good(LineageBackendPlugin):
    name = "acme"
    version = "1.0.0"

    def get_transport_config(self, environment: str) -> OpenLineageTransport:
        return OpenLineageTransport(
            url="https://lineage.acme.example",
            endpoint="/events/acme/api/v1/lineage",
            auth={"type": "api_key", "apiKey": "${env:ACME_TOKEN}"},
            headers={"acme-environment": environment},
        )

    def get_namespace_strategy(self) -> NamespaceStrategy:
        return NamespaceStrategy.CENTRALIZED

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        return {
            "env": [
                {"name": "OPENLINEAGE_URL", "value": "https://lineage.acme.example"},
                {"name": "OPENLINEAGE_ENDPOINT", "value": "/events/acme/api/v1/lineage"},
                {
                    "name": "OPENLINEAGE_API_KEY",
                    "valueFrom": {"secretKeyRef": {"name": "acme-credentials", "key": "api_key"}},
                },
            ]
        }

    def validate_connection(self, config: OpenLineageTransport) -> bool:
        if not os.environ.get("ACME_TOKEN"):
            return False
        url = urlsplit(config.url or "")
        try:
            socket.create_connection((url.hostname or "", url.port or 443), timeout=1).close()
        except OSError:
            return False
        return True


class TransportDefect(Good):
    """Changes parts of the transport."""

    change: dict[str, Any]

    def get_transport_config(self, environment: str) -> OpenLineageTransport:
        return super().get_transport_config(environment).model_copy(update=self.change)


class EnvironmentDefect(Good):
    """Replaces the job's environment."""

    env: list[dict[str, Any]]

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        return {"env": self.env}


class TestGood(BaseLineageBackendPluginTests):
    expected_namespace_strategy = NamespaceStrategy.CENTRALIZED

    @pytest.fixture
    def plugin(self) -> Good:
        return Good()


class TestWrongType(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_transport_config(self, environment: str) -> OpenLineageTransport:
                return super().get_transport_config(environment).model_dump()  # type: ignore[return-value]  # planted

        return Defective()


class TestNamespaceAsText(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_namespace_strategy(self) -> NamespaceStrategy:
                return "acme"  # type: ignore[return-value]  # planted

        return Defective()


class TestUnexpectedStrategy(BaseLineageBackendPluginTests):
    expected_namespace_strategy = NamespaceStrategy.SIMPLE

    @pytest.fixture
    def plugin(self) -> Good:
        return Good()


class TestHardCodedKey(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(TransportDefect):
            change = {"auth": {"type": "api_key", "apiKey": "0123"}}  # noqa: RUF012 - planted, never written

        return Defective()


class TestAuthenticationWithoutType(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(TransportDefect):
            change = {"auth": {"X-Acme-Key": "${env:ACME_TOKEN}"}}  # noqa: RUF012 - planted, never written

        return Defective()


class TestUnknownAuthentication(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(TransportDefect):
            change = {"auth": {"type": "acme.Provider", "apiKey": "${env:ACME_TOKEN}"}}  # noqa: RUF012 - planted

        return Defective()


class TestDoubledPath(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(TransportDefect):
            change = {  # noqa: RUF012 - planted, never written
                "url": "https://lineage.acme.example/api/v1/lineage/",
                "endpoint": "api/v1/lineage",
            }

        return Defective()


class TestNoUrl(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(TransportDefect):
            change = {"url": None}  # noqa: RUF012 - planted, never written

        return Defective()


class TestPathInUrlVariable(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(EnvironmentDefect):
            env = [  # noqa: RUF012 - planted, never written
                {"name": "OPENLINEAGE_URL", "value": "https://lineage.acme.example/events/acme/api/v1/lineage"}
            ]

        return Defective()


class TestOtherAddress(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(EnvironmentDefect):
            env = [{"name": "OPENLINEAGE_URL", "value": "https://lineage.acme.example"}]  # noqa: RUF012 - planted

        return Defective()


class TestHardCodedVariable(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(EnvironmentDefect):
            env = [{"name": "OPENLINEAGE_API_KEY", "value": "hunter2hunter2"}]  # noqa: RUF012 - planted

        return Defective()


class TestCollectorsReferenceInVariable(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(EnvironmentDefect):
            env = [{"name": "OPENLINEAGE_API_KEY", "value": "${env:ACME_TOKEN}"}]  # noqa: RUF012 - planted

        return Defective()


class TestReferenceBeforeDefinition(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(EnvironmentDefect):
            env = [  # noqa: RUF012 - planted, never written
                {"name": "OPENLINEAGE__TRANSPORT__AUTH", "value": '{"type":"api_key","apiKey":"$(ACME_TOKEN)"}'},
                {"name": "ACME_TOKEN", "valueFrom": {"secretKeyRef": {"name": "acme", "key": "token"}}},
            ]

        return Defective()


class TestUnknownValue(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
                return super().get_helm_values(artifacts, environment) | {"environment": []}

        return Defective()


class TestRaisesWhenUnreachable(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OpenLineageTransport) -> bool:
                socket.create_connection(("127.0.0.1", urlsplit(config.url or "").port or 1), timeout=1).close()
                return True

        return Defective()


class TestNeedsItsVariable(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OpenLineageTransport) -> bool:
                return not os.environ["ACME_TOKEN"]

        return Defective()


class TestLogsItsCredential(BaseLineageBackendPluginTests):
    @pytest.fixture
    def plugin(self) -> Good:
        class Defective(Good):
            def validate_connection(self, config: OpenLineageTransport) -> bool:
                import logging  # noqa: PLC0415 - planted

                logging.getLogger("acme").debug("token %s", os.environ.get("ACME_TOKEN"))
                return False

        return Defective()
