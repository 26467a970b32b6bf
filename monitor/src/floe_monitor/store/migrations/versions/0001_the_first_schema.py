"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the schema forward."""
    op.create_table(
        "contract_check_results",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("check_type", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_check_results")),
    )
    op.create_index(
        "ix_contract_check_results_contract",
        "contract_check_results",
        ["contract_name", "contract_version", "check_type", "checked_at"],
        unique=False,
    )
    op.create_index(
        "ix_contract_check_results_type", "contract_check_results", ["check_type", "checked_at"], unique=False
    )
    op.create_table(
        "contract_episodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("check_type", sa.String(length=50), nullable=False),
        sa.Column("element", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=50), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("broken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_episodes")),
    )
    op.create_index(
        "ix_contract_episodes_contract",
        "contract_episodes",
        ["contract_name", "contract_version", "opened_at"],
        unique=False,
    )
    op.create_index(
        "uq_contract_episodes_open",
        "contract_episodes",
        ["contract_name", "contract_version", "check_type", "element"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "contract_sla_status",
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("check_type", sa.String(length=50), nullable=False),
        sa.Column("element", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("current_value", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("last_check_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "contract_name", "contract_version", "check_type", "element", name=op.f("pk_contract_sla_status")
        ),
    )
    op.create_table(
        "contract_violations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("violation_type", sa.String(length=50), nullable=False),
        sa.Column("severity", sa.String(length=50), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("element", sa.Text(), nullable=True),
        sa.Column("expected_value", sa.Text(), nullable=True),
        sa.Column("actual_value", sa.Text(), nullable=True),
        sa.Column("affected_consumers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("check_result_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_violations")),
    )
    op.create_index(
        "ix_contract_violations_contract",
        "contract_violations",
        ["contract_name", "contract_version", "detected_at"],
        unique=False,
    )
    op.create_index("ix_contract_violations_severity", "contract_violations", ["severity", "detected_at"], unique=False)
    op.create_table(
        "registered_contracts",
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("contract_data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("contract_name", "contract_version", name=op.f("pk_registered_contracts")),
    )
    op.create_table(
        "contract_alert_outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["episode_id"],
            ["contract_episodes.id"],
            name=op.f("fk_contract_alert_outbox_episode_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_alert_outbox")),
    )
    op.create_index(
        "ix_contract_alert_outbox_episode", "contract_alert_outbox", ["episode_id", "channel", "position"], unique=False
    )
    op.create_index(
        "ix_contract_alert_outbox_waiting",
        "contract_alert_outbox",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )


def downgrade() -> None:
    """Takes the schema back."""
    op.drop_index(
        "ix_contract_alert_outbox_waiting",
        table_name="contract_alert_outbox",
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )
    op.drop_index("ix_contract_alert_outbox_episode", table_name="contract_alert_outbox")
    op.drop_table("contract_alert_outbox")
    op.drop_table("registered_contracts")
    op.drop_index("ix_contract_violations_severity", table_name="contract_violations")
    op.drop_index("ix_contract_violations_contract", table_name="contract_violations")
    op.drop_table("contract_violations")
    op.drop_table("contract_sla_status")
    op.drop_index(
        "uq_contract_episodes_open", table_name="contract_episodes", postgresql_where=sa.text("closed_at IS NULL")
    )
    op.drop_index("ix_contract_episodes_contract", table_name="contract_episodes")
    op.drop_table("contract_episodes")
    op.drop_index("ix_contract_check_results_type", table_name="contract_check_results")
    op.drop_index("ix_contract_check_results_contract", table_name="contract_check_results")
    op.drop_table("contract_check_results")
