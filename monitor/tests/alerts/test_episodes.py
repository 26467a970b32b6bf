"""Episodes: people are told of changes, not of samples."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.plugin_interfaces.alert_channel import AlertKind
from floe_monitor.alerts.episodes import EpisodeState, Step, advance
from floe_monitor.checks.model import CheckStatus, Outcome
from monitor.tests.builders import MINUTE, NOW, finding, outcome

pytestmark = pytest.mark.requirement("FR-029", "FR-024")


def follow(*severities: str | None) -> list[AlertKind | None]:
    """What people are told at each of these findings (None: a pass)."""
    episode = None
    told = []
    for number, severity in enumerate(severities):
        step = advance(episode, outcome(severity), NOW + number * MINUTE)
        told.append(step.told if step else None)
        episode = (
            step.episode if step and step.episode.state is EpisodeState.OPEN else episode if step is None else None
        )
    return told


@pytest.mark.parametrize(
    ("severities", "told"),
    [
        pytest.param((None, None), [None, None], id="nothing found, nothing told"),
        pytest.param(("error", "error", "error"), ["opened", None, None], id="told once, however long it lasts"),
        pytest.param(("error", None), ["opened", "resolved"], id="the end is told"),
        pytest.param(
            ("info", "warning", "error", "critical"), ["opened", "escalated", "escalated", "escalated"], id="worse"
        ),
        pytest.param(("error", "warning", "error"), ["opened", None, None], id="severity never falls while it is open"),
        pytest.param(("error", None, "error"), ["opened", "resolved", "opened"], id="a new breach is a new episode"),
    ],
)
def test_people_are_told_of_changes(severities: tuple[str | None, ...], told: list[str | None]) -> None:
    assert follow(*severities) == told


@pytest.mark.parametrize("status", ["unknown", "error", "skipped"])
def test_silence_is_no_recovery(status: str) -> None:
    opened = advance(None, outcome("error"), NOW)
    assert opened is not None
    assert advance(opened.episode, outcome(status=status), NOW + MINUTE) is None


def test_a_promise_that_stays_broken_although_the_cause_is_over_closes_the_episode() -> None:
    opened = advance(None, outcome("error"), NOW)
    assert opened is not None
    over = Outcome(CheckStatus.FAIL, "orders.updated_at", finding("error", ongoing=False))
    step = advance(opened.episode, over, NOW + MINUTE)
    assert step is not None
    assert step.told is AlertKind.RESOLVED
    assert step.episode.closed_at == NOW + MINUTE
    assert advance(None, over, NOW + MINUTE) is None


def test_an_episode_remembers_when_the_promise_was_first_broken() -> None:
    near = advance(None, outcome("warning"), NOW)
    assert near is not None
    assert near.episode.broken_at is None
    broken = advance(near.episode, outcome("error"), NOW + MINUTE)
    assert broken is not None
    assert broken.episode.broken_at == NOW + MINUTE
    still = advance(broken.episode, outcome("error"), NOW + 2 * MINUTE)
    assert still is not None
    assert still.episode.broken_at == NOW + MINUTE


SEVERITIES = st.sampled_from([None, "info", "warning", "error", "critical"])


@given(severities=st.lists(SEVERITIES, max_size=50))
def test_openings_and_endings_alternate(severities: list[str | None]) -> None:
    told = [kind for kind in follow(*severities) if kind in {AlertKind.OPENED, AlertKind.RESOLVED}]
    expected = [AlertKind.OPENED, AlertKind.RESOLVED] * len(told)
    assert told == expected[: len(told)]


@given(severities=st.lists(SEVERITIES, min_size=1, max_size=50))
def test_an_episode_is_told_at_most_once_per_severity(severities: list[str | None]) -> None:
    episode = None
    told: dict[object, list[object]] = {}
    for number, severity in enumerate(severities):
        step: Step | None = advance(episode, outcome(severity), NOW + timedelta(minutes=number))
        if step is None:
            continue
        if step.told in {AlertKind.OPENED, AlertKind.ESCALATED}:
            told.setdefault(step.episode.id, []).append(step.episode.severity)
        episode = step.episode if step.episode.closed_at is None else None
    assert all(len(heard) == len(set(heard)) for heard in told.values())


def test_a_day_of_one_breach_at_defaults_suppresses_far_more_than_80_percent() -> None:
    told = follow(*["error"] * 96)
    assert sum(kind is not None for kind in told) == 1
