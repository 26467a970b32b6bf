"""How much a finding weighs (FR-024): by the share of the promise that is used up, and by how often it broke lately.

| used share of the promise          | severity |
|------------------------------------|----------|
| below `info_pct` (80 %)            | none     |
| from `info_pct`                    | info     |
| from `warning_pct` (90 %)          | warning  |
| above 100 %                        | error    |
| above 100 %, and more than `critical_count` (3) episodes within the window (24 h) | critical |

Episodes are counted, not samples: one long outage does not turn critical by being looked at often. Strictly above the
count, so that the fourth episode is the first critical one.
"""

from floe_core.manifest.models import SeverityThresholds
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity


def severity_of(used_share: float, episodes: int, thresholds: SeverityThresholds) -> ViolationSeverity | None:
    """The severity, or None if nothing is worth telling.

    Args:
        used_share: 1.0 is exactly what is promised; more is a breach.
        episodes: Breaches that began within the window, this one included.
        thresholds: The platform's rules.
    """
    if used_share > 1:
        return ViolationSeverity.CRITICAL if above_the_count(episodes, thresholds) else ViolationSeverity.ERROR
    percent = used_share * 100
    if percent >= thresholds.warning_pct:
        return ViolationSeverity.WARNING
    return ViolationSeverity.INFO if percent >= thresholds.info_pct else None


def above_the_count(episodes: int, thresholds: SeverityThresholds) -> bool:
    """Whether a promise broke too often within the window, the present breach included."""
    return episodes > thresholds.critical_count
