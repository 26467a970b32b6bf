"""Has the quality plugin count what the contract's rules are about: one suite per table (FR-015)."""

import asyncio
from collections.abc import Mapping

import structlog

from floe_core.errors import FloeError
from floe_core.plugin_interfaces.quality import QualityCheckResult, QualityConfig, QualityPlugin, QualityScore
from floe_core.plugin_interfaces.quality import QualitySuite as Suite
from floe_monitor.checks.quality import QualityFacts
from floe_monitor.contracts.model import Contract, ContractTable
from floe_monitor.probes.source import Source

_log = structlog.get_logger(__name__)
_NO_SCORE = QualityScore(overall=None, dimensions={}, checks_passed=0, checks_failed=0)
NO_PLUGIN = "The manifest names no quality plugin; set `plugins.quality`."


async def observe_quality(contract: Contract, source: Source) -> QualityFacts:
    """The counts of every rule and their score; a table that cannot be counted costs its own rules only.

    Raises:
        FloeError: No table could be counted: the source cannot be reached, or did not answer in time.
    """
    plugin = source.quality
    reason = _why_not(plugin, source)
    if plugin is None or reason:
        _log.warning("quality.skipped", contract=str(contract.id), reason=reason)
        return QualityFacts({}, _NO_SCORE, skipped=reason)
    tables = {rule.table.name: rule.table for rule in contract.quality}
    found = await asyncio.gather(
        *(_observe(contract, table, plugin, source) for table in tables.values()), return_exceptions=True
    )
    counted: dict[str, QualityCheckResult] = {}
    uncounted: dict[str, FloeError] = {}
    for table, part in zip(tables, found, strict=True):
        if isinstance(part, FloeError):
            uncounted[table] = part
        elif isinstance(part, BaseException):
            raise part
        else:
            counted |= part
    if uncounted and len(uncounted) == len(tables):
        raise next(iter(uncounted.values()))
    score = plugin.calculate_quality_score(list(counted.values()), QualityConfig())
    return QualityFacts(counted, score, uncounted={table: error.what for table, error in uncounted.items()})


def _why_not(plugin: QualityPlugin | None, source: Source) -> str:
    if plugin is None:
        return NO_PLUGIN
    if not plugin.supports_dialect(source.dialect):
        return f"The quality plugin {plugin.name} cannot query {source.dialect or 'this source'}."
    return ""


async def _observe(
    contract: Contract, table: ContractTable, plugin: QualityPlugin, source: Source
) -> Mapping[str, QualityCheckResult]:
    checks = tuple(rule.check for rule in contract.quality if rule.table.name == table.name)
    suite = Suite(model_name=table.name, checks=checks, timeout_seconds=source.timeout.total_seconds())
    result = await source.quality_of(plugin, suite, table.location.parts)
    return {found.check_name: found for found in result.checks}
