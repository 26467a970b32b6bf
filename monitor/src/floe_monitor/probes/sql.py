"""The SQL that probes send (pure), as far as engines differ."""

from collections.abc import Iterable

from floe_core.plugin_interfaces.catalog import Column

# What people call the moment of a row's last change, most telling first.
_TELLING_NAMES = (
    "updated_at", "_updated_at", "modified_at", "last_modified", "loaded_at", "_loaded_at", "ingested_at",
    "event_time", "event_timestamp", "created_at",
)  # fmt: skip
_BACKTICK_DIALECTS = frozenset({"bigquery", "databricks", "hive", "mysql", "spark"})


def quoted(parts: Iterable[str], dialect: str) -> str:
    """A qualified name, quoted, so that its case and any reserved word are taken as they are."""
    mark = "`" if dialect in _BACKTICK_DIALECTS else '"'
    return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in parts)


def newest_row(table: Iterable[str], column: str, dialect: str) -> str:
    """The greatest timestamp and the source's own clock, in one query: two machines' clocks are never compared."""
    return f"SELECT MAX({quoted([column], dialect)}), CURRENT_TIMESTAMP FROM {quoted(table, dialect)}"  # noqa: S608 - identifiers are quoted


def timestamp_column(columns: Iterable[Column]) -> str | None:
    """The column that says when a row was changed last: by a telling name, or the only timestamp (FR-008)."""
    times = [column.name for column in columns if column.type.lower().startswith(("timestamp", "datetime"))]
    by_name = {name.lower(): name for name in times}
    for telling in _TELLING_NAMES:
        if telling in by_name:
            return by_name[telling]
    return times[0] if len(times) == 1 else None
