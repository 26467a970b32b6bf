# ruff: noqa: ARG002 - overridden methods take what the interface gives them
"""Good and defective orchestrators, quality engines, alert channels, computes and catalogs, for their suites."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_core.errors import ValidationError
from floe_core.plugin_interfaces import (
    AlertChannelPlugin,
    Catalog,
    CatalogPlugin,
    Column,
    ComputeConfig,
    ComputePlugin,
    ConnectionResult,
    ConnectionStatus,
    ContractViolationEvent,
    OrchestratorPlugin,
    QualityCheckResult,
    QualityConfig,
    QualityPlugin,
    QualityScore,
    QualitySuite,
    QualitySuiteResult,
    ResourceAmounts,
    ResourceRequirements,
    ResourceSpec,
    Snapshot,
    Table,
    ValidationResult,
    WorkloadSize,
)
from floe_core.testing.base_classes import (
    BaseAlertChannelPluginTests,
    BaseCatalogPluginTests,
    BaseComputePluginTests,
    BaseOrchestratorPluginTests,
    BaseQualityPluginTests,
)


class GoodOrchestrator(OrchestratorPlugin):
    name = "acme"
    version = "1.0.0"

    def create_assets_from_artifacts(self, artifacts: CompiledArtifacts) -> dict[str, Any] | list[Any]:
        assets = {model.name: list(model.depends_on) for model in artifacts.models}
        return {"assets": assets, "schedules": [schedule.job for schedule in artifacts.schedules]}

    def get_helm_values(self) -> dict[str, Any]:
        return {"webserver": {"replicas": 1, "resources": self.get_resource_requirements()["webserver"].model_dump()}}

    def validate_connection(self) -> ValidationResult:
        return ValidationResult(success=False, message="Nothing answers at acme:80. Is the service running?")

    def get_resource_requirements(self, workload_size: WorkloadSize = "medium") -> dict[str, ResourceRequirements]:
        amounts = ResourceAmounts(cpu="500m", memory="1Gi")
        return {"webserver": ResourceRequirements(requests=amounts, limits=ResourceAmounts(cpu="1", memory="2Gi"))}


class TestGoodOrchestrator(BaseOrchestratorPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodOrchestrator:
        return GoodOrchestrator()


class TestForgetfulOrchestrator(BaseOrchestratorPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodOrchestrator:
        class Defective(GoodOrchestrator):
            def create_assets_from_artifacts(self, artifacts: CompiledArtifacts) -> dict[str, Any] | list[Any]:
                return {"assets": {model.name: [] for model in artifacts.models[1:]}}

        return Defective()


class TestRaisingOrchestrator(BaseOrchestratorPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodOrchestrator:
        class Defective(GoodOrchestrator):
            def validate_connection(self) -> ValidationResult:
                raise OSError("connection refused")

        return Defective()


class TestGreedyOrchestrator(BaseOrchestratorPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodOrchestrator:
        class Defective(GoodOrchestrator):
            def get_resource_requirements(
                self, workload_size: WorkloadSize = "medium"
            ) -> dict[str, ResourceRequirements]:
                more, less = ResourceAmounts(cpu="2", memory="1Gi"), ResourceAmounts(cpu="500m", memory="1Gi")
                return {"webserver": ResourceRequirements(requests=more, limits=less)}

        return Defective()


class GoodQuality(QualityPlugin):
    name = "acme"
    version = "1.0.0"

    def run_checks(
        self, suite_name: str, data_source: str, options: Mapping[str, Any] | None = None
    ) -> QualitySuiteResult:
        now = datetime.now(UTC)
        return QualitySuiteResult(suite_name=suite_name, model_name=data_source, passed=True, checks=(), timestamp=now)

    def run_suite(self, suite: QualitySuite, connection_config: Mapping[str, Any]) -> QualitySuiteResult:
        return self.run_checks(suite.model_name, suite.model_name)

    def validate_expectations(
        self,
        data_source: str,
        expectations: Sequence[Mapping[str, Any]],
        connection_config: Mapping[str, Any] | None = None,
    ) -> list[QualityCheckResult]:
        return []

    def list_suites(self) -> list[str]:
        return ["orders"]

    def supports_dialect(self, dialect: str) -> bool:
        return dialect == "duckdb"


class TestGoodQuality(BaseQualityPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodQuality:
        return GoodQuality()


class TestFlatteringQuality(BaseQualityPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodQuality:
        class Defective(GoodQuality):
            def calculate_quality_score(
                self, results: Sequence[QualityCheckResult], config: QualityConfig
            ) -> QualityScore:
                return QualityScore(overall=70, dimensions={}, checks_passed=0, checks_failed=0)

        return Defective()


class GoodAlert(AlertChannelPlugin):
    name = "acme"
    version = "1.0.0"

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        return False

    def validate_config(self) -> list[str]:
        return []


class TestGoodAlert(BaseAlertChannelPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodAlert:
        return GoodAlert()


class TestRaisingAlert(BaseAlertChannelPluginTests):
    @pytest.fixture
    def plugin(self) -> GoodAlert:
        class Defective(GoodAlert):
            async def send_alert(self, event: ContractViolationEvent) -> bool:
                raise ConnectionRefusedError

        return Defective()


class GoodCompute(ComputePlugin):
    name = "acme"
    version = "1.0.0"

    @property
    def is_self_hosted(self) -> bool:
        return True

    @property
    def sql_dialect(self) -> str:
        return "duckdb"

    def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:
        return {"type": "acme", "password": "{{ env_var('ACME_PASSWORD') }}", "threads": config.threads}

    def get_required_dbt_packages(self) -> list[str]:
        return ["dbt-acme>=1"]

    def validate_connection(self, config: ComputeConfig) -> ConnectionResult:
        if config.connection.get("host") == "nowhere":
            return ConnectionResult(status=ConnectionStatus.UNHEALTHY, latency_ms=1, message="nowhere is not known")
        return ConnectionResult(status=ConnectionStatus.HEALTHY, latency_ms=1)

    def get_resource_requirements(self, workload_size: Literal["small", "medium", "large"]) -> ResourceSpec:
        return ResourceSpec(cpu_request="500m", cpu_limit="1", memory_request="512Mi", memory_limit="1Gi")

    def fetch_rows(self, config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        return [(1, 2)]


class ComputeSuite(BaseComputePluginTests):
    @pytest.fixture
    def unreachable_config(self) -> ComputeConfig:
        return ComputeConfig(plugin="acme", connection={"host": "nowhere"})


class TestGoodCompute(ComputeSuite):
    @pytest.fixture
    def plugin(self) -> GoodCompute:
        return GoodCompute()


class TestComputeWithPassword(ComputeSuite):
    @pytest.fixture
    def plugin(self) -> GoodCompute:
        class Defective(GoodCompute):
            def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:
                return {"type": "acme", "password": "hunter2"}

        return Defective()


class TestAlwaysHealthyCompute(ComputeSuite):
    @pytest.fixture
    def plugin(self) -> GoodCompute:
        class Defective(GoodCompute):
            def validate_connection(self, config: ComputeConfig) -> ConnectionResult:
                return ConnectionResult(status=ConnectionStatus.HEALTHY, latency_ms=1)

        return Defective()


class MemoryCatalog:
    """One table."""

    def list_namespaces(self) -> list[str]:
        return ["sales"]

    def list_tables(self, namespace: str) -> list[str]:
        return ["sales.orders"]

    def load_table(self, identifier: str) -> Table:
        if identifier != "sales.orders":
            raise ValidationError(f"There is no table {identifier}.")
        moments = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        snapshots = tuple(Snapshot(snapshot_id=str(at.day), committed_at=at, operation="append") for at in moments)
        return Table(identifier=identifier, columns=(Column(name="id", type="bigint"),), snapshots=snapshots)

    def close(self) -> None:
        """Holds nothing."""


class GoodCatalog(CatalogPlugin):
    name = "acme"
    version = "1.0.0"

    def connect(self, config: Mapping[str, Any]) -> Catalog:
        if config.get("host") == "nowhere":
            raise FloeConnectionError("nowhere is not known.")
        return MemoryCatalog()

    def create_namespace(self, namespace: str, properties: Mapping[str, str] | None = None) -> None:
        raise NotImplementedError

    def list_namespaces(self, parent: str | None = None) -> list[str]:
        return ["sales"]

    def delete_namespace(self, namespace: str) -> None:
        raise NotImplementedError

    def create_table(
        self,
        identifier: str,
        columns: tuple[Column, ...],
        location: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        raise NotImplementedError

    def list_tables(self, namespace: str) -> list[str]:
        return ["sales.orders"]

    def drop_table(self, identifier: str, *, purge: bool = False) -> None:
        raise NotImplementedError

    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:
        return {}


class CatalogSuite(BaseCatalogPluginTests):
    @pytest.fixture
    def known_table(self) -> str:
        return "sales.orders"

    @pytest.fixture
    def unreachable_config(self) -> dict[str, Any]:
        return {"host": "nowhere"}


class TestGoodCatalog(CatalogSuite):
    @pytest.fixture
    def plugin(self) -> GoodCatalog:
        return GoodCatalog()


class TestCatalogWithNaiveTimes(CatalogSuite):
    @pytest.fixture
    def plugin(self) -> GoodCatalog:
        class Naive(MemoryCatalog):
            def load_table(self, identifier: str) -> Table:
                table = super().load_table(identifier)
                naive = tuple(
                    snapshot.model_copy(update={"committed_at": snapshot.committed_at.replace(tzinfo=None)})
                    for snapshot in table.snapshots
                )
                return table.model_copy(update={"snapshots": naive})

        class Defective(GoodCatalog):
            def connect(self, config: Mapping[str, Any]) -> Catalog:
                super().connect(config)
                return Naive()

        return Defective()


class TestCatalogThatInventsTables(CatalogSuite):
    @pytest.fixture
    def plugin(self) -> GoodCatalog:
        class Inventive(MemoryCatalog):
            def load_table(self, identifier: str) -> Table:
                return super().load_table("sales.orders")

        class Defective(GoodCatalog):
            def connect(self, config: Mapping[str, Any]) -> Catalog:
                return Inventive()

        return Defective()
