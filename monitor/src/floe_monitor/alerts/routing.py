"""Which channels hear of a step (FR-028): severity and contract against the manifest's rules.

Without a rule for it, a channel hears of everything from `warning`. A channel that an escalation reaches for the first
time is told `opened`; one that never heard of an episode is not told that it is over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from floe_core.manifest.models import AlertRoutingRule
from floe_core.plugin_interfaces.alert_channel import AlertKind, ViolationSeverity
from floe_monitor.alerts.episodes import Step

DEFAULT_MIN_SEVERITY = ViolationSeverity.WARNING


@dataclass(frozen=True, slots=True)
class Delivery:
    """One channel and what it is told."""

    channel: str
    kind: AlertKind


def deliveries(
    step: Step, contract: str, channels: Iterable[str], rules: Sequence[AlertRoutingRule]
) -> tuple[Delivery, ...]:
    """Who hears of a step.

    Args:
        step: A step of an episode.
        contract: The contract's name (`domain.product/contract`), for the rules' globs.
        channels: Names of all configured channels.
        rules: The manifest's rules; several for one channel add up.
    """
    if step.told is None:
        return ()
    found = []
    for channel in channels:
        if (limit := _min_severity(channel, contract, rules)) is None or step.episode.severity.rank < limit.rank:
            continue
        first = step.told is AlertKind.ESCALATED and step.before is not None and step.before.rank < limit.rank
        found.append(Delivery(channel, AlertKind.OPENED if first else step.told))
    return tuple(found)


def _min_severity(channel: str, contract: str, rules: Sequence[AlertRoutingRule]) -> ViolationSeverity | None:
    """The lightest severity that the channel wants of the contract; None if it wants nothing of it."""
    own = [rule for rule in rules if rule.channel_name == channel]
    if not own:
        return DEFAULT_MIN_SEVERITY
    fitting = [
        ViolationSeverity(rule.min_severity)
        for rule in own
        if rule.contract_filter is None or fnmatchcase(contract, rule.contract_filter)
    ]
    return min(fitting, key=lambda severity: severity.rank, default=None)
