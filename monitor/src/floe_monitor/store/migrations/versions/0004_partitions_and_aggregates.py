"""Results and violations in partitions by month, daily aggregates, and what replicas do one at a time.

The table of before becomes the first partition as it is, up to the end of the month of its newest row: nothing is
copied, however much there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


@dataclass(frozen=True, slots=True)
class _Partitioned:
    """A table that is partitioned by a time: name, that time's column, and its indexes' names and columns."""

    table: str
    time: str
    indexes: Sequence[tuple[str, str]]


_TABLES = (
    _Partitioned(
        "contract_check_results",
        "checked_at",
        (
            ("ix_contract_check_results_contract", "contract_name, contract_version, check_type, checked_at"),
            ("ix_contract_check_results_type", "check_type, checked_at"),
        ),
    ),
    _Partitioned(
        "contract_violations",
        "detected_at",
        (
            ("ix_contract_violations_contract", "contract_name, contract_version, detected_at"),
            ("ix_contract_violations_severity", "severity, detected_at"),
        ),
    ),
)


def upgrade() -> None:
    """Brings the schema forward."""
    op.create_table(
        "contract_daily_aggregates",
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("check_type", sa.String(length=50), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("total_checks", sa.Integer(), nullable=False),
        sa.Column("passed_checks", sa.Integer(), nullable=False),
        sa.Column("failed_checks", sa.Integer(), nullable=False),
        sa.Column("error_checks", sa.Integer(), nullable=False),
        sa.Column("unknown_checks", sa.Integer(), nullable=False),
        sa.Column("skipped_checks", sa.Integer(), nullable=False),
        sa.Column("avg_duration_seconds", sa.Double(), nullable=False),
        sa.Column("scored_checks", sa.Integer(), nullable=False),
        sa.Column("min_quality_score", sa.Double(), nullable=True),
        sa.Column("max_quality_score", sa.Double(), nullable=True),
        sa.Column("avg_quality_score", sa.Double(), nullable=True),
        sa.Column("observed_seconds", sa.Double(), nullable=False),
        sa.Column("up_seconds", sa.Double(), nullable=False),
        sa.Column("uptime_pct", sa.Double(), nullable=True),
        sa.Column("violation_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "contract_name", "contract_version", "check_type", "date", name=op.f("pk_contract_daily_aggregates")
        ),
    )
    op.create_index("ix_contract_daily_aggregates_date", "contract_daily_aggregates", ["date"])
    op.create_table(
        "contract_days_to_aggregate",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_contract_days_to_aggregate")),
    )
    op.execute(
        "INSERT INTO contract_days_to_aggregate SELECT DISTINCT (checked_at AT TIME ZONE 'UTC')::date, now() "
        "FROM contract_check_results"
    )
    op.create_table(
        "monitor_duties",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_monitor_duties")),
    )
    op.add_column("monitor_replicas", sa.Column("knows", sa.String(length=50), nullable=True))
    for partitioned in _TABLES:
        _partition(partitioned)


def _partition(one: _Partitioned) -> None:
    before = f"{one.table}_before"
    op.execute(f"ALTER TABLE {one.table} RENAME TO {before}")
    op.execute(f"ALTER TABLE {before} DROP CONSTRAINT pk_{one.table}")
    op.execute(f"ALTER TABLE {before} ADD CONSTRAINT pk_{before} PRIMARY KEY (id, {one.time})")
    for name, _ in one.indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace(one.table, before)}")
    op.execute(f"CREATE TABLE {one.table} (LIKE {before}) PARTITION BY RANGE ({one.time})")
    op.execute(f"ALTER TABLE {one.table} ADD CONSTRAINT pk_{one.table} PRIMARY KEY (id, {one.time})")
    for name, columns in one.indexes:
        op.execute(f"CREATE INDEX {name} ON {one.table} ({columns})")
    newest = op.get_bind().scalar(sa.text(f"SELECT max({one.time}) FROM {before}"))  # noqa: S608 - fixed names
    if newest is None:
        op.execute(f"DROP TABLE {before}")
    else:
        end = _next_month(newest).isoformat()
        op.execute(f"ALTER TABLE {one.table} ATTACH PARTITION {before} FOR VALUES FROM (MINVALUE) TO ('{end}')")
    op.execute(f"CREATE TABLE {one.table}_default PARTITION OF {one.table} DEFAULT")


def _next_month(moment: datetime) -> datetime:
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def downgrade() -> None:
    """Takes the schema back; results are copied into one table, aggregates go."""
    for partitioned in _TABLES:
        _unite(partitioned)
    op.drop_column("monitor_replicas", "knows")
    op.drop_table("monitor_duties")
    op.drop_table("contract_days_to_aggregate")
    op.drop_index("ix_contract_daily_aggregates_date", table_name="contract_daily_aggregates")
    op.drop_table("contract_daily_aggregates")


def _unite(one: _Partitioned) -> None:
    whole = f"{one.table}_whole"
    op.execute(f"CREATE TABLE {whole} (LIKE {one.table})")
    op.execute(f"INSERT INTO {whole} SELECT * FROM {one.table}")  # noqa: S608 - fixed names
    op.execute(f"DROP TABLE {one.table}")
    op.execute(f"ALTER TABLE {whole} RENAME TO {one.table}")
    op.execute(f"ALTER TABLE {one.table} ADD CONSTRAINT pk_{one.table} PRIMARY KEY (id)")
    for name, columns in one.indexes:
        op.execute(f"CREATE INDEX {name} ON {one.table} ({columns})")
