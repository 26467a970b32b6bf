"""How much a finding weighs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.manifest.models import SeverityThresholds
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_monitor.checks.severity import severity_of

pytestmark = pytest.mark.requirement("FR-024")
DEFAULTS = SeverityThresholds()


def rank(severity: ViolationSeverity | None) -> int:
    return -1 if severity is None else severity.rank


@pytest.mark.parametrize(
    ("used", "episodes", "expected"),
    [
        pytest.param(0.0, 1, None, id="nothing used"),
        pytest.param(0.79, 1, None, id="below 80 %"),
        pytest.param(0.8, 1, "info", id="at 80 %"),
        pytest.param(0.9, 1, "warning", id="at 90 %"),
        pytest.param(1.0, 1, "warning", id="exactly what is promised is no breach"),
        pytest.param(1.01, 1, "error", id="a breach"),
        pytest.param(1.01, 3, "error", id="the third episode"),
        pytest.param(1.01, 4, "critical", id="the fourth episode: strictly above three"),
        pytest.param(0.95, 9, "warning", id="many episodes make no breach of a warning"),
    ],
)
def test_severity_follows_the_used_share_and_the_number_of_episodes(
    used: float, episodes: int, expected: str | None
) -> None:
    assert severity_of(used, episodes, DEFAULTS) == expected


@given(one=st.floats(0, 10), other=st.floats(0, 10), episodes=st.integers(1, 20), more=st.integers(0, 20))
def test_more_use_and_more_episodes_never_weigh_less(one: float, other: float, episodes: int, more: int) -> None:
    low, high = sorted((one, other))
    assert rank(severity_of(low, episodes, DEFAULTS)) <= rank(severity_of(high, episodes + more, DEFAULTS))


@given(used=st.floats(1.0001, 1e9), count=st.integers(1, 50), episodes=st.integers(1, 100))
def test_critical_is_strictly_above_the_count(used: float, count: int, episodes: int) -> None:
    severity = severity_of(used, episodes, SeverityThresholds(critical_count=count))
    assert (severity is ViolationSeverity.CRITICAL) == (episodes > count)
