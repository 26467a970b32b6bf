"""A small product's artifacts, to give to plugins that ask for some."""

from datetime import UTC, datetime

from floe_core.artifacts import (
    CompilationMetadata,
    CompiledArtifacts,
    DbtModel,
    ProductIdentity,
    Schedule,
    Sensor,
    TransformConfig,
)


def sample_artifacts() -> CompiledArtifacts:
    """Three dbt models in a row, one schedule and one sensor."""
    return CompiledArtifacts(
        metadata=CompilationMetadata(
            compiled_at=datetime(2026, 1, 1, tzinfo=UTC),
            floe_version="0.1.0",
            source_hash="sha256:" + "0" * 64,
            product_name="orders",
            product_version="1.2.3",
        ),
        identity=ProductIdentity(product_id="sales.orders", domain="sales"),
        transforms=(TransformConfig(type="dbt", path="dbt"),),
        models=(
            DbtModel(name="stg_orders"),
            DbtModel(name="orders", depends_on=("stg_orders",), columns={"id": "bigint"}),
            DbtModel(name="daily_revenue", depends_on=("orders",)),
        ),
        schedules=(Schedule(job="nightly", cron="0 3 * * *", timezone="Europe/Berlin"),),
        sensors=(Sensor(job="nightly", watches="raw_orders"),),
    )
