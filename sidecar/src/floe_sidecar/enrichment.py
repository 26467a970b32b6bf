"""What the relay adds to an event: the pod's names, where a client was told none or does not know them.

Added to the text itself; everything else stays as it came, byte for byte. What an event says already is never changed,
with one exception, the job namespace that a client makes up where nobody told it one.

| of an event | is changed |
|---|---|
| `job.namespace` that clients say who were told none (`replaced_namespaces`) | into the pod's |
| the same in `parent` and its `root`, of a run that came through this relay | into the pod's |
| the same of a run that did not: it lives in another pod | not |
| every other namespace, those of datasets too | not |
| a run without `parent` | gets the pod's run, from its first event on |
| a run or job without `floe_pod`, `floe_traceContext`, `tags`, `environmentVariables` | gets them |
| a run or job with `tags`, `environmentVariables` | gets those entries whose names it has not |
| `facets` that are null, of a run or job that gets some | become an object |

The text that is added follows from the settings and from what came before, not from the time: an event that a client
sends again becomes the same bytes again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from floe_sidecar import facets
from floe_sidecar.kinship import Kinship
from floe_sidecar.members import Span, UnclearError, first_member, members_of, spliced, text_of
from floe_sidecar.settings.pod import PodSettings

_UID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONGEST_LIST = 65_536
"""Bytes of tags or variables that are looked through; a longer list is left as it is."""

_Change = tuple[Span, bytes]
_Members = Mapping[str, Span]
_entries = msgspec.json.Decoder(list[dict[str, object]])


class _Holder(NamedTuple):
    """A run or a job: where it stands, what it has, and what of that are facets."""

    span: Span
    members: _Members
    facets: _Members


class _Listed(NamedTuple):
    """A facet that is a list of named entries, and what is added to it.

    `entries` are the names, in lower case, with the entries as JSON; `schema` is that of a facet of our own.
    """

    facet: str
    member: str
    name: str
    entries: Mapping[str, bytes]
    whole: bytes


class Enrichment:
    """What one pod's events get. `left_out` are the facets that the bound has no room for."""

    def __init__(
        self, pod: PodSettings, kinship: Kinship, *, redact: Callable[[bytes], bytes] = lambda body: body
    ) -> None:
        self._pod = pod
        self._kinship = kinship
        self._room = pod.enrichment_max_bytes
        self.left_out: list[str] = []
        self._replaced = frozenset(pod.replaced_namespaces) if pod.job_namespace else frozenset()
        self._namespace = msgspec.json.encode(pod.job_namespace)
        self._parent = b""
        if pod.add_parent and is_run(pod):
            self._parent = self._fitting("parent", redact(msgspec.json.encode(facets.parent_facet(pod))))
        self._pod_facet = b""
        if pod.add_pod and pod.pod_name:
            self._pod_facet = self._fitting("floe_pod", redact(msgspec.json.encode(facets.pod_facet(pod))))
        self._of_run = self._listed(redact, ("tags", "tags", "key", facets.RUN_TAGS), facets.tags(pod.run_tags))
        self._of_run += self._listed(
            redact,
            ("environmentVariables", "environmentVariables", "name", facets.ENVIRONMENT),
            facets.variables(pod.environment_variables),
        )
        self._of_job = self._listed(redact, ("tags", "tags", "key", facets.JOB_TAGS), facets.tags(pod.job_tags))
        self._trace_of_pod = facets.trace_context_facet(pod.traceparent) if pod.add_trace_context else None

    def enrich(self, body: bytes, traceparent: str = "") -> bytes:
        """The event with what the pod knows of it; the very same object if nothing is added, or it is no event."""
        try:
            return self._enriched(body, traceparent)
        except UnclearError:
            return body

    def _enriched(self, body: bytes, traceparent: str) -> bytes:
        event = members_of(body)
        changes: list[_Change] = []
        if "job" in event:
            changes += self._job(body, event["job"])
        if "run" in event:
            changes += self._run(body, event, traceparent)
        return spliced(body, changes) if changes else body

    def _job(self, body: bytes, span: Span) -> Iterator[_Change]:
        if not (self._replaced or self._of_job) or (job := _holder(body, span)) is None:
            return
        yield from self._namespace_of(body, job.members)
        yield from _with_facets(body, job, [], self._of_job)

    def _namespace_of(self, body: bytes, job: _Members) -> Iterator[_Change]:
        if "namespace" in job and text_of(body, job["namespace"]) in self._replaced:
            yield job["namespace"], self._namespace

    def _run(self, body: bytes, event: _Members, traceparent: str) -> Iterator[_Change]:
        if (run := _holder(body, event["run"])) is None:
            return
        added: list[bytes] = []
        if run_id := _text(body, run.members, "runId").lower():
            parent = _object(body, run.facets, "parent") if "parent" in run.facets else None
            if parent and self._replaced:
                yield from self._namespaces_of_parent(body, parent)
            begins = _text(body, event, "eventType").upper() == "START"
            if self._is_given(body, run_id, parent, begins=begins):
                added.append(b'"parent":' + self._parent)
        if self._pod_facet and "floe_pod" not in run.facets:
            added.append(b'"floe_pod":' + self._pod_facet)
        if self._pod.add_trace_context and "floe_traceContext" not in run.facets:
            context = facets.trace_context_facet(traceparent) if traceparent else None
            if context := context or self._trace_of_pod:
                added.append(context)
        yield from _with_facets(body, run, added, self._of_run)

    def _namespaces_of_parent(self, body: bytes, parent: _Members) -> Iterator[_Change]:
        """A parent's names have to be those that its own events have got, if they came through here."""
        yield from self._namespace_of_run(body, parent)
        yield from self._namespace_of_run(body, _object(body, parent, "root"))

    def _namespace_of_run(self, body: bytes, kin: _Members) -> Iterator[_Change]:
        if self._kinship.holds(_run_id(body, kin)):
            yield from self._namespace_of(body, _object(body, kin, "job"))

    def _is_given(self, body: bytes, run_id: str, parent: _Members | None, *, begins: bool) -> bool:
        """Whether the run gets the pod's as its parent; what is known of it is remembered."""
        own_run = self._pod.pod_uid.lower()
        if run_id == own_run:
            return False
        stranger = parent is not None and _run_id(body, parent) != own_run
        is_given = self._kinship.decide(run_id, has_another=stranger, begins=begins)
        return is_given and parent is None and bool(self._parent)

    def _fitting(self, name: str, text: bytes) -> bytes:
        """The text if there is room for it, and nothing if not."""
        if len(text) + len(name) > self._room:
            self.left_out.append(name)
            return b""
        self._room -= len(text) + len(name)
        return text

    def _listed(
        self, redact: Callable[[bytes], bytes], kind: tuple[str, str, str, str], given: list[dict[str, str]]
    ) -> tuple[_Listed, ...]:
        name_of_facet, member, name, schema = kind
        if not given:
            return ()
        whole = self._fitting(name_of_facet, redact(msgspec.json.encode(facets.facet(schema, {member: given}))))
        entries = {entry[name].lower(): redact(msgspec.json.encode(entry)) for entry in given}
        return (_Listed(name_of_facet, member, name, entries, whole),) if whole else ()


def is_run(pod: PodSettings) -> bool:
    """Whether the pod has a run of its own: an id and a job."""
    return bool(_UID.fullmatch(pod.pod_uid) and pod.job_namespace and pod.job_name)


def _is_object(body: bytes, span: Span) -> bool:
    return body.startswith(b"{", span.start)


def _holder(body: bytes, span: Span) -> _Holder | None:
    """What stands at `span`, if it is an object."""
    if not _is_object(body, span):
        return None
    members = members_of(body, span)
    return _Holder(span, members, _object(body, members, "facets"))


def _object(body: bytes, members: _Members, name: str) -> _Members:
    """The members of a member that is an object; none of anything else."""
    span = members.get(name)
    return members_of(body, span) if span is not None and _is_object(body, span) else {}


def _text(body: bytes, members: _Members, name: str) -> str:
    span = members.get(name)
    return (text_of(body, span) or "") if span is not None else ""


def _run_id(body: bytes, kin: _Members) -> str:
    return _text(body, _object(body, kin, "run"), "runId").lower()


def _with_facets(body: bytes, holder: _Holder, added: list[bytes], listed: tuple[_Listed, ...]) -> Iterator[_Change]:
    """The changes that give a run or a job its facets, besides those that it has."""
    new = list(added)
    for one in listed:
        if one.facet in holder.facets:
            yield from _more_entries(body, holder.facets, one)
        else:
            new.append(b'"%b":%b' % (one.facet.encode(), one.whole))
    if not new:
        return
    text = b",".join(new)
    place = holder.members.get("facets")
    if place is None:
        yield first_member(holder.span, b'"facets":{%b}' % text, alone=not holder.members)
    elif _is_object(body, place):
        yield first_member(place, text, alone=not holder.facets)
    elif body[slice(*place)] == b"null":
        yield place, b"{%b}" % text


def _more_entries(body: bytes, there: _Members, listed: _Listed) -> Iterator[_Change]:
    """Puts those entries in front of a facet's own whose names it has not."""
    span = _object(body, there, listed.facet).get(listed.member)
    if span is None or span.end - span.start > _LONGEST_LIST:
        return
    try:
        entries = _entries.decode(memoryview(body)[span.start : span.end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    names = {str(entry.get(listed.name)).lower() for entry in entries}
    new = [text for name, text in listed.entries.items() if name not in names]
    if new:
        place = Span(span.start + 1, span.start + 1)
        yield place, b",".join(new) + (b"," if entries else b"")
