"""Asks the catalog what each promised table looks like (FR-011, FR-014)."""

import asyncio

from floe_core.errors import ConfigurationError, FloeError, ValidationError
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.checks.schema_drift import ObservedTable, SchemaFacts, promised_tables
from floe_monitor.contracts.model import Contract, ContractTable
from floe_monitor.probes.source import Source


async def observe_schema(contract: Contract, source: Source, known: FieldIds) -> SchemaFacts:
    """One observation per table; what cannot be read is told as a failure of that table alone."""
    tables = await asyncio.gather(*(_observe(table, source) for table in promised_tables(contract)))
    return SchemaFacts(tuple(tables), source.dialect, known)


async def _observe(table: ContractTable, source: Source) -> ObservedTable:
    try:
        return ObservedTable(await source.table(str(table.location)))
    except ValidationError:
        return ObservedTable(is_missing=True)  # the interface's word for it
    except ConfigurationError as error:
        return ObservedTable(failure=error.what, is_configuration=True)
    except FloeError as error:
        return ObservedTable(failure=error.what)
