"""Contracts that come by the API, and why an episode was closed if not by the trouble's end."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
is_additive = True

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds them."""
    op.create_table(
        "contract_registrations",
        sa.Column("contract_name", sa.String(255), nullable=False),
        sa.Column("contract_version", sa.String(50), nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("document_text", sa.Text, nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("unregistered_at", _TIME),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("contract_name", "contract_version", name="pk_contract_registrations"),
    )
    op.create_table(
        "contract_registration_events",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_name", sa.String(255), nullable=False),
        sa.Column("contract_version", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("happened_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contract_registration_events"),
    )
    op.create_index(
        "ix_contract_registration_events_contract",
        "contract_registration_events",
        ["contract_name", "contract_version", "happened_at"],
    )
    op.add_column("contract_episodes", sa.Column("closed_reason", sa.Text))


def downgrade() -> None:
    """Takes them away."""
    op.drop_column("contract_episodes", "closed_reason")
    op.drop_table("contract_registration_events")
    op.drop_table("contract_registrations")
