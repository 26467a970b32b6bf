"""What the relay has to know of an OpenLineage event: which run it belongs to and how far it follows the specification.

Nothing else is modelled; the event's bytes travel as they came. An event is refused only if it is not JSON or names
neither a job nor a dataset. Everything else is forwarded and counted by level, because backends accept far more than
the specification does (Marquez takes events without schemaURL or without a time zone).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec

from floe_sidecar.runs import Sign, role, sign

_DIGEST_BYTES = 16
_LONGEST_KEY = 256


class Validity(StrEnum):
    """How far an accepted event follows the specification (core 2-0-2)."""

    VALID = "valid"
    CORE_INVALID = "core"
    FACET_INVALID = "facet"


class Refusal(StrEnum):
    """Why an event cannot be accepted; the value is the metric's label."""

    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"

    @property
    def remedy(self) -> str:
        """What the sender should change."""
        return _REMEDIES[self]


_REMEDIES = {
    Refusal.NOT_JSON: "send one JSON document in UTF-8",
    Refusal.NOT_AN_EVENT: "an OpenLineage event is a JSON object that names a job or a dataset",
}


class EventRefusedError(Exception):
    """The body is not an event that could be forwarded; the message says what is wrong with it."""

    def __init__(self, refusal: Refusal, what: str) -> None:
        super().__init__(f"{what}: {refusal.remedy}")
        self.refusal = refusal


class Event(msgspec.Struct, frozen=True):
    """What was read of one event; `key` is what must stay in order: the run, else the job, else the dataset.

    `sign` is what it says about the run's beginning or end, if it does.
    """

    key: str
    validity: Validity
    digest: bytes
    sign: Sign | None = None


class _Facet(msgspec.Struct):
    producer: str = msgspec.field(name="_producer")
    schema_url: str = msgspec.field(name="_schemaURL")
    processing_type: object = msgspec.field(name="processingType", default=None)


_Facets = dict[str, _Facet]


class _Run(msgspec.Struct):
    run_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")] = (
        msgspec.field(name="runId")
    )
    facets: _Facets | None = None


class _Named(msgspec.Struct, rename="camel"):
    namespace: str
    name: str
    facets: _Facets | None = None
    input_facets: _Facets | None = None
    output_facets: _Facets | None = None


_NAMES = {"event_time": "eventTime", "event_type": "eventType", "schema_url": "schemaURL"}


class _Specified(msgspec.Struct, rename=_NAMES):
    event_time: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    producer: str
    schema_url: str
    event_type: object = None
    run: _Run | None = None
    job: _Named | None = None
    dataset: _Named | None = None
    inputs: list[_Named] | None = None
    outputs: list[_Named] | None = None

    @property
    def is_whole(self) -> bool:
        """A run event has run and job, a job event a job, a dataset event a dataset."""
        return self.job is not None or (self.dataset is not None and self.run is None)


_specified = msgspec.json.Decoder(_Specified)
_anything = msgspec.json.Decoder()
_list = msgspec.json.Decoder(list[msgspec.Raw])


def read(body: bytes) -> Event:
    """Reads one event.

    Raises:
        EventRefusedError: It cannot be forwarded.
    """
    try:
        str(body, "utf-8")  # strings that the decoder skips are not checked by it
        event = _specified.decode(body)
    except msgspec.ValidationError as error:
        level = Validity.FACET_INVALID if "acets" in str(error) else Validity.CORE_INVALID
        return _lenient(body, level)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefusedError(Refusal.NOT_JSON, f"the body is not JSON ({error})") from None
    if not event.is_whole:
        return _lenient(body, Validity.CORE_INVALID)
    said = None
    if event.run is not None:
        key = event.run.run_id.lower()
        said = _said(event, event.run)
    elif event.job is not None:
        key = f"job:{event.job.namespace}/{event.job.name}"
    else:
        key = f"dataset:{event.dataset.namespace}/{event.dataset.name}" if event.dataset else ""
    return Event(_bounded(key), Validity.VALID, digest(body), said)


def split(body: bytes) -> list[bytes]:
    """The events of a batch, each as the bytes it came in; an object with `events` is taken for its list.

    Raises:
        EventRefusedError: The body is not a list.
    """
    try:
        return [bytes(raw) for raw in _list.decode(body)]
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefusedError(Refusal.NOT_JSON, f"the body is not JSON ({error})") from None
    try:
        return [bytes(raw) for raw in msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["events"]]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError):
        raise EventRefusedError(Refusal.NOT_AN_EVENT, "the body is not a JSON array of events") from None


def digest(body: bytes) -> bytes:
    """What two events have in common only if they are the same, byte for byte: run, type and time included."""
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _lenient(body: bytes, level: Validity) -> Event:
    """Reads an event that breaks the specification, as far as its order is concerned."""
    try:
        document = _anything.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EventRefusedError(Refusal.NOT_JSON, f"the body is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise EventRefusedError(Refusal.NOT_AN_EVENT, f"the body is a JSON {_kind(document)}")
    key = _named(document, "job") or _named(document, "dataset")
    if key is None:
        raise EventRefusedError(Refusal.NOT_AN_EVENT, "the event has neither a job nor a dataset with a name")
    run = document.get("run")
    run_id = run.get("runId") if isinstance(run, dict) else None
    said = None
    if isinstance(run_id, str | int) and run_id != "":
        key = str(run_id).lower()
        said = _said_leniently(document, run_id)
    return Event(_bounded(key), level, digest(body), said)


def _said(event: _Specified, run: _Run) -> Sign | None:
    job = event.job
    facet = job.facets.get("jobType") if job is not None and job.facets else None
    part = role(event.event_type, facet.processing_type if facet is not None else None)
    return sign(part, run.run_id, (job.namespace, job.name) if job is not None else (None, None), event.event_time)


def _said_leniently(document: dict[str, object], run_id: object) -> Sign | None:
    job = _object(document.get("job"))
    facet = _object(_object(job.get("facets")).get("jobType"))
    part = role(document.get("eventType"), facet.get("processingType"))
    return sign(part, run_id, (job.get("namespace"), job.get("name")), document.get("eventTime"))


def _object(part: object) -> dict[str, object]:
    return part if isinstance(part, dict) else {}


def _named(document: dict[str, object], kind: str) -> str | None:
    part = document.get(kind)
    if isinstance(part, dict) and isinstance(part.get("name"), str) and part["name"]:
        return f"{kind}:{part.get('namespace')}/{part['name']}"
    return None


def _kind(document: object) -> str:
    return {list: "array", str: "string", type(None): "null"}.get(type(document), "scalar")


def _bounded(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else "digest:" + digest(key.encode(errors="surrogatepass")).hex()
