"""Field ids of promised columns, so that a renamed column is known as such."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the schema forward."""
    op.create_table(
        "contract_field_ids",
        sa.Column("contract_name", sa.String(length=255), nullable=False),
        sa.Column("contract_version", sa.String(length=50), nullable=False),
        sa.Column("tables", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("contract_name", "contract_version", name=op.f("pk_contract_field_ids")),
    )


def downgrade() -> None:
    """Takes the schema back; ids are learned again from the next look."""
    op.drop_table("contract_field_ids")
