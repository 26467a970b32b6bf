"""What one contract sets for itself of the monitor's configuration (FR-045), and what it may not (pure).

It stands in the contract, as the custom property `monitoring`:

    customProperties:
      - property: monitoring
        value:
          check_intervals: {freshness_minutes: 5}
          severity_thresholds: {warning_pct: 75}
          alerts:
            routing_rules: [{channel_name: shop-team, min_severity: info}]

| key                       | a contract may                                                               |
|---------------------------|------------------------------------------------------------------------------|
| `check_intervals`         | set any, 1 minute to 1 week                                                  |
| `severity_thresholds`     | set any                                                                      |
| `alerts.routing_rules`    | add: what the platform sends goes out all the same, so nobody silences it    |
| everything else           | nothing: the rule that gives it to the platform is named                     |
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic

from floe_core.manifest.document import KeyPath, dotted
from floe_core.manifest.models import AlertRoutingRule, CheckIntervals, Monitoring, SeverityThresholds
from floe_core.manifest.problems import KeyProblem, problems_in

PROPERTY: Final = "monitoring"
_SHORTEST_MINUTES, _LONGEST_MINUTES = 1, 7 * 24 * 60
_MAY: Final = (
    "A contract may set check_intervals, severity_thresholds, and alerts.routing_rules beside the platform's (FR-045)."
)
_THE_PLATFORMS: Final[Mapping[KeyPath, str]] = {
    ("enabled",): "FR-044",
    ("mode",): "FR-044",
    ("retention_days",): "FR-002",
    ("clock_skew_tolerance_seconds",): "FR-010",
    ("check_timeout_seconds",): "FR-022",
    ("calls_per_source",): "FR-022",
    ("contract_histograms_up_to",): "FR-044",
    ("alerts", "dedup_window_minutes"): "FR-029",
    ("alerts", "rate_limit_per_contract"): "FR-030",
    ("alerts", "rate_limit_window_minutes"): "FR-030",
    # A rule of a contract is about this contract.
    ("alerts", "routing_rules", "contract_filter"): "FR-028",
}
_KEYS: Final = frozenset({"check_intervals", "severity_thresholds", "alerts"})


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a contract sets; what it does not set is the platform's.

    Attributes:
        check_intervals: Only the fields that are set count.
        severity_thresholds: As above.
        routing_rules: Beside the platform's.
    """

    check_intervals: CheckIntervals = field(default_factory=CheckIntervals)
    severity_thresholds: SeverityThresholds = field(default_factory=SeverityThresholds)
    routing_rules: tuple[AlertRoutingRule, ...] = ()

    def merged(self, platform: Monitoring) -> Monitoring:
        """The platform's configuration as it holds for this contract."""
        if self == NOTHING:
            return platform
        alerts = platform.alerts.model_copy(
            update={"routing_rules": (*platform.alerts.routing_rules, *self._added(platform.alerts.routing_rules))}
        )
        return platform.model_copy(
            update={
                "check_intervals": _set(platform.check_intervals, self.check_intervals),
                "severity_thresholds": _set(platform.severity_thresholds, self.severity_thresholds),
                "alerts": alerts,
            }
        )

    def _added(self, platform: Sequence[AlertRoutingRule]) -> Iterator[AlertRoutingRule]:
        """The contract's rules; a channel without a rule of the platform keeps what it hears by default."""
        ruled = {rule.channel_name for rule in platform}
        for channel in dict.fromkeys(rule.channel_name for rule in self.routing_rules):
            if channel not in ruled:
                yield AlertRoutingRule(channel_name=channel)
        yield from self.routing_rules


NOTHING: Final = Overrides()


def _set(platform: Any, own: pydantic.BaseModel) -> Any:
    return platform.model_copy(update=own.model_dump(exclude_unset=True))


def read_overrides(value: object) -> tuple[Overrides, tuple[KeyProblem, ...]]:
    """What a contract sets, or what is wrong with it, each with its path below `value`."""
    if not isinstance(value, Mapping):
        return NOTHING, (KeyProblem((), f"`{PROPERTY}` is no mapping.", _MAY),)
    problems = [*_refused(value)]
    alerts = value.get("alerts") or {}
    intervals = _validated(CheckIntervals, value.get("check_intervals") or {}, ("check_intervals",), problems)
    thresholds = _validated(
        SeverityThresholds, value.get("severity_thresholds") or {}, ("severity_thresholds",), problems
    )
    given = alerts.get("routing_rules") or [] if isinstance(alerts, Mapping) else []
    rules = [
        _validated(AlertRoutingRule, rule, ("alerts", "routing_rules", index), problems)
        for index, rule in enumerate(given if isinstance(given, list) else [given])
    ]
    if isinstance(intervals, CheckIntervals):
        problems += _out_of_bounds(intervals)
    if problems or intervals is None or thresholds is None:
        return NOTHING, tuple(problems)
    return Overrides(intervals, thresholds, tuple(rule for rule in rules if rule is not None)), ()


def _refused(value: Mapping[str, Any]) -> Iterator[KeyProblem]:
    for path, rule in _THE_PLATFORMS.items():
        for found in _paths(value, path):
            yield KeyProblem(found, f"`{dotted(path)}` is the platform's to set ({rule}).", _MAY)
    own = {path[0] for path in _THE_PLATFORMS if len(path) == 1}
    for key in value:
        if key not in _KEYS | own:
            yield KeyProblem((key,), f"There is no key `{key}` here.", _MAY)
    alerts = value.get("alerts")
    if alerts is not None and not isinstance(alerts, Mapping):
        yield KeyProblem(("alerts",), "`alerts` is no mapping.", _MAY)
    elif alerts:
        known = {path[1] for path in _THE_PLATFORMS if path[0] == "alerts" and len(path) > 1}
        for key in alerts:
            if key not in known:
                yield KeyProblem(("alerts", key), f"There is no key `{key}` here.", _MAY)


def _paths(value: Any, path: KeyPath, here: KeyPath = ()) -> Iterator[KeyPath]:
    """Where a path of keys leads to in a value; lists are gone through."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _paths(entry, path, (*here, index))
    elif not path:
        yield here
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _paths(value[path[0]], path[1:], (*here, path[0]))


def _validated(model: type[pydantic.BaseModel], value: object, under: KeyPath, problems: list[KeyProblem]) -> Any:
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        problems += problems_in(error, model, under=under)
        return None


def _out_of_bounds(intervals: CheckIntervals) -> Iterator[KeyProblem]:
    for name, minutes in intervals.model_dump(exclude_unset=True).items():
        if not _SHORTEST_MINUTES <= minutes <= _LONGEST_MINUTES:
            yield KeyProblem(
                ("check_intervals", name),
                f"`{name}` is {minutes:g} minutes.",
                f"A contract may set {_SHORTEST_MINUTES} minute to 1 week; the rest is the platform's to set (FR-003).",
            )
