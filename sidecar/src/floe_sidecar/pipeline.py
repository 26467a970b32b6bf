"""What the relay has seen of the pod's pipeline, as metrics: runs by how they ended, how long they took, their output.

| metric | from |
|---|---|
| `floe_pipeline_runs_total{status}` | the first COMPLETE, FAIL or ABORT of a run, the relay's own ABORT included |
| `floe_pipeline_duration_seconds{status}` | START's and the end's `eventTime`, if both came through here |
| `floe_pipeline_output_rows_total`, `floe_pipeline_output_bytes_total` | `outputStatistics` of the end's outputs |
| `floe_pipeline_tests_total{status}` | the end's `dataQualityAssertions` of inputs, and the run facet `test` |

A run counts once, however often its end is sent. The pod's own run is not among them: its end is the leader's to tell.
In memory and bounded; the numbers begin at 0 with each process, as Prometheus expects.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from floe_sidecar.metrics import Counter, Histogram
from floe_sidecar.runs import OpenRun

STATUSES = ("COMPLETE", "FAIL", "ABORT")
DURATION_BUCKETS_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds of the buckets in seconds: pipelines take minutes and hours, not milliseconds."""

_MOST_RUNS = 1024
_PREFIX = "floe_pipeline_"
_TEST_STATUSES = {"pass": "passed", "fail": "failed", "skip": "skipped"}


class _Run(msgspec.Struct):
    run_id: str = msgspec.field(name="runId")
    facets: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct, rename="camel"):
    event_type: str = ""
    event_time: str = ""
    run: _Run | None = None
    inputs: msgspec.Raw = msgspec.Raw()
    outputs: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event)
_list_of_objects = msgspec.json.Decoder(list[dict[str, object]])
_object_of_anything = msgspec.json.Decoder(dict[str, object])


class Pipeline:
    """The runs of one pod, counted."""

    def __init__(self) -> None:
        self.runs = Counter("runs_total", "Runs that ended, by how.", "status", prefix=_PREFIX)
        self.rows = Counter("output_rows_total", "Rows that runs wrote, as they say.", prefix=_PREFIX)
        self.bytes = Counter("output_bytes_total", "Bytes that runs wrote, as they say.", prefix=_PREFIX)
        self.tests = Counter("tests_total", "Tests of data that runs told of, by outcome.", "status", prefix=_PREFIX)
        self.durations = {
            status: Histogram(
                "duration_seconds",
                "From START to the end of runs.",
                prefix=_PREFIX,
                label=("status", status.lower()),
                bounds=DURATION_BUCKETS_SECONDS,
            )
            for status in STATUSES
        }
        for status in STATUSES:
            self.runs.add(0, value=status.lower())
        self._begun: dict[str, float | None] = {}
        self._ended: dict[str, None] = {}

    @property
    def metrics(self) -> list[Counter | Histogram]:
        """All of them, in the order in which they are shown."""
        return [self.runs, *self.durations.values(), self.rows, self.bytes, self.tests]

    def saw(self, body: bytes) -> None:
        """Counts what an event says, once it is durable; what cannot be read counts for nothing."""
        try:
            event = _event.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        kind = event.event_type.upper()
        if event.run is None or event.run.run_id.lower() in self._ended:
            return
        run = event.run.run_id.lower()
        if kind == "START":
            _remember(self._begun, run, _seconds(event.event_time))
        elif kind in STATUSES:
            self._end(run, kind, _seconds(event.event_time))
            self._count_outputs(event.outputs)
            self._count_tests(event.inputs, event.run.facets)

    def closed(self, runs: Iterable[OpenRun]) -> None:
        """Counts runs that the relay has ended itself."""
        for run in runs:
            if run.run not in self._ended:
                self._end(run.run, "ABORT", run.ended_at)

    def _end(self, run: str, status: str, at: float | None) -> None:
        begun_at = self._begun.pop(run, None)
        _remember(self._ended, run, None)
        self.runs.add(value=status.lower())
        if begun_at is not None and at is not None and at >= begun_at:
            self.durations[status].observe(at - begun_at)

    def _count_outputs(self, raw: msgspec.Raw) -> None:
        for output in _objects(raw):
            statistics = _object(_object(output.get("outputFacets")).get("outputStatistics"))
            self.rows.add(_count(statistics.get("rowCount")))
            self.bytes.add(_count(statistics.get("size")))

    def _count_tests(self, inputs: msgspec.Raw, facets: msgspec.Raw) -> None:
        for dataset in _objects(inputs):
            for kind in ("facets", "inputFacets"):
                found = _object(_object(dataset.get(kind)).get("dataQualityAssertions"))
                for assertion in _entries(found.get("assertions")):
                    self.tests.add(value="passed" if assertion.get("success") is True else "failed")
        for test in _entries(_object(_facets(facets).get("test")).get("tests")):
            self.tests.add(value=_TEST_STATUSES.get(str(test.get("status")).lower(), "other"))


def _remember(runs: dict[str, float | None] | dict[str, None], run: str, at: float | None) -> None:
    if run not in runs and len(runs) >= _MOST_RUNS:
        del runs[next(iter(runs))]
    runs.setdefault(run, at)  # type: ignore[arg-type]  # ends have no time


def _seconds(event_time: str) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(event_time)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)).timestamp()


def _objects(raw: msgspec.Raw) -> list[dict[str, object]]:
    try:
        return _list_of_objects.decode(raw) if len(raw) else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _facets(raw: msgspec.Raw) -> Mapping[str, object]:
    try:
        return _object_of_anything.decode(raw) if len(raw) else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _entries(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
