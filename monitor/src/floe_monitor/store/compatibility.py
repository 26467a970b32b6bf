"""Which code works on which schema, so that going back to an older version does not end the watching.

| the database's revision is  | this version                                                        |
|-----------------------------|---------------------------------------------------------------------|
| older, or there is none     | migrates                                                            |
| its own                     | goes on                                                             |
| newer, and readable for it  | goes on, changes nothing in the schema and says so                  |
| newer, and not readable     | does not start, and says what to do                                 |

A migration that code of the revision before can live with (it only adds tables, indexes, or columns that may stay
empty) says so with `is_additive = True`. What follows for the schema as it is now stands in the database, as the
comment on Alembic's table: older code knows nothing of newer migrations.
"""

import re

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from floe_core.errors import ConfigurationError

_COMMENT = re.compile(r"readable from (\w+)")


def current_revision(connection: Connection) -> str | None:
    """What the database says of its schema; None if it has none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def is_newer(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Whether a newer version has made this schema.

    Raises:
        ConfigurationError: It has, and this version cannot work on it.
    """
    found = current_revision(connection)
    known = [script.revision for script in scripts.walk_revisions()]
    if found is None or found in known:
        return False
    if _readable_from(connection) in known:
        return True
    raise ConfigurationError(
        f"A newer version of the monitor has brought the database to schema {found}; this one works up to "
        f"{scripts.get_current_head()}.",
        remedy="Run the newer version again, or restore the database as it was before the upgrade.",
    )


def note_readability(connection: Connection, scripts: ScriptDirectory) -> None:
    """Writes down the oldest code that works on the schema as it is now."""
    if (oldest := current_revision(connection)) is None:
        return
    for script in scripts.walk_revisions(base="base", head=oldest):
        oldest = script.revision
        if not getattr(script.module, "is_additive", False):
            break
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS 'readable from {oldest}'"))


def _readable_from(connection: Connection) -> str | None:
    comment = connection.scalar(text("SELECT obj_description('alembic_version'::regclass, 'pg_class')"))
    match = _COMMENT.search(comment or "")
    return match[1] if match else None
