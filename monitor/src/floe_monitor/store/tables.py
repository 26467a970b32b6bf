"""The tables. Every contract is named by name and version (`ContractId`); times are aware.

Results and violations are kept for `retention_days` in partitions by month (`floe_monitor.store.partitions`), daily
aggregates for ever; episodes and the outbox refer to each other. No foreign key leads to results: dropping old ones
must never fail because a violation still names one.
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAME = String(255)
_VERSION = String(50)
_WORD = String(50)
_TIME = DateTime(timezone=True)


class Table(DeclarativeBase):
    """All tables, with constraint names that migrations can rely on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: _TIME,
        date: Date,
        float: Double,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        UUID: Uuid,
    }


class RegisteredContract(Table):
    """A contract that is or was watched; unregistering keeps it."""

    __tablename__ = "registered_contracts"

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    contract_data: Mapped[dict[str, Any]]
    registered_at: Mapped[datetime]
    active: Mapped[bool]


class RegistrationRow(Table):
    """A contract that came by the API; unregistering keeps it, and its document never changes."""

    __tablename__ = "contract_registrations"

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    document: Mapped[dict[str, Any]]
    document_text: Mapped[str] = mapped_column(Text, doc="As it was registered")
    registered_at: Mapped[datetime]
    unregistered_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(BigInteger, doc="Grows with each change, so that replicas notice")


class RegistrationEventRow(Table):
    """What became of a contract in the registry, and when."""

    __tablename__ = "contract_registration_events"
    __table_args__ = (
        Index("ix_contract_registration_events_contract", "contract_name", "contract_version", "happened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_name: Mapped[str] = mapped_column(_NAME)
    contract_version: Mapped[str] = mapped_column(_VERSION)
    kind: Mapped[str] = mapped_column(_WORD)
    happened_at: Mapped[datetime]


class CheckResult(Table):
    """One run of one check."""

    __tablename__ = "contract_check_results"
    __table_args__ = (
        Index("ix_contract_check_results_contract", "contract_name", "contract_version", "check_type", "checked_at"),
        Index("ix_contract_check_results_type", "check_type", "checked_at"),
        {"postgresql_partition_by": "RANGE (checked_at)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_name: Mapped[str] = mapped_column(_NAME)
    contract_version: Mapped[str] = mapped_column(_VERSION)
    check_type: Mapped[str] = mapped_column(_WORD)
    status: Mapped[str] = mapped_column(_WORD)
    planned_at: Mapped[datetime]
    checked_at: Mapped[datetime] = mapped_column(primary_key=True)
    duration_seconds: Mapped[float]
    details: Mapped[dict[str, Any]]


class Violation(Table):
    """A finding of a run; names and aggregates only (FR-025)."""

    __tablename__ = "contract_violations"
    __table_args__ = (
        Index("ix_contract_violations_contract", "contract_name", "contract_version", "detected_at"),
        Index("ix_contract_violations_severity", "severity", "detected_at"),
        {"postgresql_partition_by": "RANGE (detected_at)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_name: Mapped[str] = mapped_column(_NAME)
    contract_version: Mapped[str] = mapped_column(_VERSION)
    violation_type: Mapped[str] = mapped_column(_WORD)
    severity: Mapped[str] = mapped_column(_WORD)
    message: Mapped[str] = mapped_column(Text)
    element: Mapped[str | None] = mapped_column(Text)
    expected_value: Mapped[str | None] = mapped_column(Text)
    actual_value: Mapped[str | None] = mapped_column(Text)
    affected_consumers: Mapped[list[Any]]
    detected_at: Mapped[datetime] = mapped_column(primary_key=True)
    check_result_id: Mapped[UUID]
    episode_id: Mapped[UUID | None]


class EpisodeRow(Table):
    """One trouble of one promise; at most one is open."""

    __tablename__ = "contract_episodes"
    __table_args__ = (
        Index(
            "uq_contract_episodes_open",
            "contract_name",
            "contract_version",
            "check_type",
            "element",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_contract_episodes_contract", "contract_name", "contract_version", "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_name: Mapped[str] = mapped_column(_NAME)
    contract_version: Mapped[str] = mapped_column(_VERSION)
    check_type: Mapped[str] = mapped_column(_WORD)
    element: Mapped[str] = mapped_column(Text, doc="Empty where the check has one promise only")
    severity: Mapped[str] = mapped_column(_WORD)
    message: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    broken_at: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_reason: Mapped[str | None] = mapped_column(Text, doc="Why, if it is not that the trouble is over")


class OutboxRow(Table):
    """One alert for one channel; its id is the event's id, however often it is sent."""

    __tablename__ = "contract_alert_outbox"
    __table_args__ = (
        Index(
            "ix_contract_alert_outbox_waiting",
            "due_at",
            postgresql_where=text("sent_at IS NULL AND given_up_at IS NULL"),
        ),
        Index("ix_contract_alert_outbox_episode", "episode_id", "channel", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    episode_id: Mapped[UUID] = mapped_column(ForeignKey("contract_episodes.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer, doc="Order of the alerts of one episode")
    channel: Mapped[str] = mapped_column(_NAME)
    kind: Mapped[str] = mapped_column(_WORD)
    event: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    claimed_by: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]


class FieldIdsRow(Table):
    """Iceberg field ids of a contract's columns as they were first seen; a rename is known by them."""

    __tablename__ = "contract_field_ids"

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    tables: Mapped[dict[str, Any]]
    learned_at: Mapped[datetime]


class SlaStatus(Table):
    """How a promise stands now."""

    __tablename__ = "contract_sla_status"

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    check_type: Mapped[str] = mapped_column(_WORD, primary_key=True)
    element: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(_WORD)
    current_value: Mapped[float | None]
    threshold: Mapped[float | None]
    last_check_time: Mapped[datetime]
    consecutive_failures: Mapped[int]


class LeaseRow(Table):
    """Which replica watches a contract; without a holder, or after its end, anybody may take it."""

    __tablename__ = "contract_leases"
    __table_args__ = (Index("ix_contract_leases_holder", "holder"),)

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    holder: Mapped[UUID | None]
    fence: Mapped[int] = mapped_column(BigInteger, doc="Grows with each holder")
    taken_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ReplicaRow(Table):
    """A replica that is alive, or was until shortly."""

    __tablename__ = "monitor_replicas"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    alive_until: Mapped[datetime]
    knows: Mapped[str | None] = mapped_column(String(50), doc="Names the set of contracts that it knows")


class DailyAggregate(Table):
    """One check of one contract on one day of UTC; sums, so that weeks and months follow from them exactly."""

    __tablename__ = "contract_daily_aggregates"
    __table_args__ = (Index("ix_contract_daily_aggregates_date", "date"),)

    contract_name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    contract_version: Mapped[str] = mapped_column(_VERSION, primary_key=True)
    check_type: Mapped[str] = mapped_column(_WORD, primary_key=True)
    day: Mapped[date] = mapped_column("date", primary_key=True)
    total_checks: Mapped[int]
    passed_checks: Mapped[int]
    failed_checks: Mapped[int]
    error_checks: Mapped[int]
    unknown_checks: Mapped[int]
    skipped_checks: Mapped[int]
    avg_duration_seconds: Mapped[float]
    scored_checks: Mapped[int] = mapped_column(doc="Runs with a quality score; weighs the averages of days")
    min_quality_score: Mapped[float | None]
    max_quality_score: Mapped[float | None]
    avg_quality_score: Mapped[float | None]
    observed_seconds: Mapped[float] = mapped_column(doc="Time of the day in which the source's state was known")
    up_seconds: Mapped[float] = mapped_column(doc="The part of it in which the source answered")
    uptime_pct: Mapped[float | None]
    violation_count: Mapped[int]


class DayToAggregate(Table):
    """A day of UTC that results were stored for since it was aggregated last, or that is not over for long."""

    __tablename__ = "contract_days_to_aggregate"

    day: Mapped[date] = mapped_column("date", primary_key=True)
    marked_at: Mapped[datetime]


class DutyRow(Table):
    """Work that one replica does for all of them, now and then."""

    __tablename__ = "monitor_duties"

    name: Mapped[str] = mapped_column(_WORD, primary_key=True)
    due_at: Mapped[datetime]
    holder: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
