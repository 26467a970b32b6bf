"""Leases of contracts, so that several replicas share them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the schema forward."""
    op.create_table(
        "contract_leases",
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("contract_name", "contract_version", name=op.f("pk_contract_leases")),
    )
    op.create_index("ix_contract_leases_holder", "contract_leases", ["holder"])
    op.create_table(
        "monitor_replicas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alive_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_replicas")),
    )


def downgrade() -> None:
    """Takes the schema back: for one replica, as before."""
    op.drop_table("monitor_replicas")
    op.drop_index("ix_contract_leases_holder", table_name="contract_leases")
    op.drop_table("contract_leases")
