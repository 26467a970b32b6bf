"""Which reasons become Events, on which object, and how announcements are aggregated and limited."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_webhook.admission import Problem, Review
from floe_webhook.aggregation import Aggregation, Limits, Series
from floe_webhook.announcements import (
    CHOSEN,
    MOST_CHARACTERS,
    Announcement,
    Subject,
    announce_admission,
    is_worth_telling,
    subject_of,
)
from floe_webhook.reasons import Effect, Reason
from webhook.tests.builders import container, owner, pod

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-12")


class Heard(list[Announcement]):
    """An announcer that remembers."""

    def announce(self, announcement: Announcement) -> None:
        self.append(announcement)


def heard(document: dict[str, Any], *reasons: Reason | Problem, dry_run: bool = False) -> Heard:
    announcer = Heard()
    announce_admission(announcer, Review("1", document, "sales", dry_run), reasons)
    return announcer


def test_a_reason_is_told_on_the_workload_in_its_own_words() -> None:
    (told,) = heard(pod(owned_by=owner("StatefulSet", "db")), Reason.HOST_NETWORK)

    assert told == Announcement(
        Subject("sales", "StatefulSet", "db", "batch/v1", "0-0"),
        "HostNetwork",
        f"{Reason.HOST_NETWORK.sentence} {Reason.HOST_NETWORK.remedy}",
        warning=True,
    )


def test_nothing_is_told_on_a_dry_run() -> None:
    assert heard(pod(), Reason.HOST_NETWORK, dry_run=True) == []


def test_a_remark_is_no_warning() -> None:
    (told,) = heard(pod(), Reason.CONTAINER_UNKNOWN)

    assert not told.warning


@pytest.mark.parametrize("reason", [*Reason, *Problem])
def test_everything_is_told_that_nobody_chose_and_something_can_be_done_about(reason: Reason | Problem) -> None:
    chosen = reason in CHOSEN
    idle = isinstance(reason, Reason) and reason.effect is Effect.REMARK and not reason.remedy

    assert is_worth_telling(reason) is not (chosen or idle)


def test_no_value_of_the_pod_stands_in_what_is_told() -> None:
    document = pod(container("hidden-container", variables={"A": "hidden-value"}), annotations={"a": "hidden-note"})

    told = heard(document, *Reason, *Problem)

    assert told
    assert not any("hidden" in one.message or len(one.message) > MOST_CHARACTERS for one in told)


@pytest.mark.parametrize(
    ("document", "kind", "name", "through"),
    [
        pytest.param(pod(owned_by=owner("Job", "load")), "Job", "load", None, id="a Job"),
        pytest.param(pod(owned_by=owner("Job", "load-29391840")), "CronJob", "load", "Job", id="a CronJob"),
        pytest.param(
            pod(owned_by=owner("ReplicaSet", "web-5d9"), labels={"pod-template-hash": "5d9"}),
            "Deployment",
            "web",
            "ReplicaSet",
            id="a Deployment",
        ),
        pytest.param(pod(name="alone"), "Pod", "alone", None, id="a pod alone"),
    ],
)
def test_an_event_stands_on_what_people_know(
    document: dict[str, Any], kind: str, name: str, through: str | None
) -> None:
    subject = subject_of(document, "sales")

    assert subject is not None
    assert (subject.kind, subject.name) == (kind, name)
    assert (subject.through.kind if subject.through else None) == through


def test_a_pod_that_has_no_name_yet_and_no_owner_has_nowhere_to_be_told() -> None:
    assert heard(pod(name=None), Reason.HOST_NETWORK) == []


def announcement(workload: str = "web", *, namespace: str = "sales", reason: str = "HostNetwork") -> Announcement:
    return Announcement(Subject(namespace, "StatefulSet", workload, "apps/v1", "1"), reason, "Told.")


def written(aggregation: Aggregation, now: float) -> list[Series]:
    found = list(aggregation.due(now))
    for series in found:
        aggregation.written(series, series.count, now)
    return found


def test_equal_announcements_are_written_once_with_their_number() -> None:
    aggregation = Aggregation(Limits(), 0.0)
    for second in range(5):
        aggregation.note(announcement(), float(second))

    (series,) = written(aggregation, 5.0)

    assert (series.count, series.first_at, series.last_at) == (5, 0.0, 4.0)
    assert written(aggregation, 1000.0) == []


def test_an_event_is_written_again_only_after_a_while() -> None:
    aggregation = Aggregation(Limits(repeat_seconds=30.0), 0.0)
    aggregation.note(announcement(), 0.0)
    written(aggregation, 1.0)
    aggregation.note(announcement(), 2.0)

    assert written(aggregation, 30.0) == []
    assert [series.count for series in written(aggregation, 31.0)] == [2]


def test_a_loud_namespace_does_not_silence_another() -> None:
    aggregation = Aggregation(Limits(namespace_burst=2.0, namespace_per_second=0.0), 0.0)
    for number in range(10):
        aggregation.note(announcement(f"loud-{number}"), 0.0)
    aggregation.note(announcement(namespace="quiet"), 1.0)

    namespaces = [series.announcement.subject.namespace for series in written(aggregation, 1.0)]

    assert sorted(namespaces) == ["quiet", "sales", "sales"]


def test_what_waits_too_long_is_given_up_and_counted() -> None:
    aggregation = Aggregation(Limits(burst=0.0, per_second=0.0, give_up_seconds=60.0), 0.0)
    aggregation.note(announcement(), 0.0)
    aggregation.note(announcement(), 1.0)

    assert aggregation.tidy(59.0) == 0
    assert aggregation.tidy(60.0) == 2
    assert len(aggregation) == 0


def test_a_series_that_is_told_makes_room_for_a_new_one() -> None:
    aggregation = Aggregation(Limits(series=1), 0.0)
    aggregation.note(announcement("a"), 0.0)
    assert not aggregation.note(announcement("b"), 0.0)

    written(aggregation, 1.0)

    assert aggregation.note(announcement("b"), 2.0)


@given(
    st.lists(st.tuples(st.sampled_from(["note", "write", "tidy"]), st.integers(0, 30), st.floats(0, 40)), max_size=60)
)
def test_whatever_happens_bounds_hold_and_every_announcement_is_told_waiting_or_counted_as_lost(
    steps: list[tuple[str, int, float]],
) -> None:
    limits = Limits(series=8, burst=3.0, per_second=0.1, namespace_burst=2.0, namespace_per_second=0.1)
    aggregation = Aggregation(limits, 0.0)
    now, noted, lost = 0.0, 0, 0
    told: dict[int, int] = {}
    alive: dict[int, Series] = {}
    writes = 0
    for step, number, pause in steps:
        now += pause
        if step == "note":
            noted += 1
            workload = announcement(f"w{number}", namespace=f"n{number % 3}")
            lost += not aggregation.note(workload, now)
        elif step == "write":
            for series in written(aggregation, now):
                writes += 1
                alive[id(series)] = series
                told[id(series)] = series.told
        else:
            lost += aggregation.tidy(now)
        assert len(aggregation) <= limits.series
        assert writes <= limits.burst + now * limits.per_second + 1e-6
    waiting = sum(series.count - series.told for series in aggregation)
    assert sum(told.values()) + waiting + lost == noted
