"""The gateway's side of the network: a token proves the sender's namespace, which has a share of the spool.

| request | answer |
|---|---|
| without a token of these keys | 401, before its body is read |
| `POST /floe/v1/handover` | 200 when the whole batch is durable; 503 with Retry-After if it does not fit as a whole |
| anything else | as a sidecar answers it (`floe_sidecar.receiver`) |
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from floe_sidecar import parcels, tokens
from floe_sidecar.credentials import SecretFile
from floe_sidecar.http import Respond
from floe_sidecar.messages import Request, Response
from floe_sidecar.metrics import Clock, Metrics
from floe_sidecar.orders import Stored
from floe_sidecar.receiver import Receiver, fault

_SCHEME = "bearer "
_NOT_TAKEN = "the gateway takes a token of this namespace as Authorization: Bearer; this one is missing or not taken"


class Gateway:
    """Lets senders in and writes their namespace to what they send."""

    def __init__(
        self,
        receiver: Receiver,
        metrics: Metrics,
        *,
        key_file: Path,
        batch_max_events: int,
        clock: Clock,
        wall_clock: Clock,
    ) -> None:
        self._receiver = receiver
        self._metrics = metrics
        self._keys = SecretFile(key_file, what="the gateway's key file", problem=tokens.problem_of, clock=clock)
        self._batch_max_events = batch_max_events
        self._wall_clock = wall_clock

    def admits(self, authorization: str) -> bool:
        """Whether a request with this header is read any further."""
        return self._namespace(authorization) is not None

    def receive(self, request: Request, respond: Respond) -> None:
        """Answers one request."""
        namespace = self._namespace(request.authorization)
        if namespace is None:  # its key was taken away while the body came
            self._metrics.refused.add(value="unauthorised")
            respond(fault(401, _NOT_TAKEN))
        elif request.path != parcels.PATH:
            self._receiver.receive(request, respond, source=namespace)
        elif request.method != "POST":
            self._metrics.refused.add(value="method")
            respond(fault(405, "events are handed over with POST"))
        else:
            self._take_over(request, respond, namespace)

    def _take_over(self, request: Request, respond: Respond, namespace: str) -> None:
        try:
            records = parcels.decode(request.body, namespace, now=self._wall_clock())
        except parcels.ParcelsRefusedError as error:
            self._metrics.refused.add(value="not_a_handover")
            respond(fault(400, str(error)))
            return
        if len(records) > self._batch_max_events:
            self._metrics.refused.add(len(records), value="too_large")
            respond(fault(413, f"the batch has {len(records)} events, at most {self._batch_max_events} are taken"))
            return

        def confirmed(stored: Stored) -> Response:
            self._metrics.taken_over.add(len(records))
            return Response(200, msgspec.json.encode({"stored": stored.new, "duplicates": stored.duplicates}))

        self._receiver.keep(records, request, respond, confirmed, source=namespace)

    def _namespace(self, authorization: str) -> str | None:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        return tokens.namespace_of(authorization[len(_SCHEME) :].strip(), tokens.keys_of(self._keys.current()))
