"""The few messages of OTLP that are read or written by hand, compared with the protocol's own."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from floe_sidecar import otlp

pytestmark = pytest.mark.requirement("HOUSE-4")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
RESPONSES = [
    (ExportTraceServiceResponse, "rejected_spans"),
    (ExportMetricsServiceResponse, "rejected_data_points"),
    (ExportLogsServiceResponse, "rejected_log_records"),
]


@pytest.mark.parametrize(("response", "field"), RESPONSES)
@given(rejected=st.integers(0, 2**63 - 1), message=TEXTS)
def test_a_partial_success_is_read_as_the_protocols_own_library_writes_it(
    response: type[ExportTraceServiceResponse], field: str, rejected: int, message: str
) -> None:
    document = response()
    setattr(document.partial_success, field, rejected)
    document.partial_success.error_message = message
    expected = otlp.PartialSuccess(rejected, message) if rejected or message else None
    assert otlp.partial_success(otlp.PROTOBUF, document.SerializeToString()) == expected
    assert otlp.partial_success(otlp.JSON, json_format.MessageToJson(document).encode()) == expected


@pytest.mark.parametrize(("response", "field"), RESPONSES)
def test_a_full_success_is_an_empty_message_of_the_requests_type(
    response: type[ExportTraceServiceResponse],
    field: str,  # noqa: ARG001 - the table's
) -> None:
    assert response.FromString(otlp.success(otlp.PROTOBUF)) == response()
    assert json_format.Parse(otlp.success(otlp.JSON), response()) == response()
    assert otlp.partial_success(otlp.PROTOBUF, b"") is None
    assert otlp.partial_success(otlp.JSON, b"{}") is None


@given(body=st.binary(), content_type=st.sampled_from([otlp.PROTOBUF, otlp.JSON]))
def test_whatever_a_backend_answers_is_read_or_left_alone(body: bytes, content_type: str) -> None:
    found = otlp.partial_success(content_type, body)
    assert found is None or found.rejected or found.message


@given(message=TEXTS)
def test_a_failure_is_a_status_that_its_reader_understands(message: str) -> None:
    # google.rpc.Status and an OTLP partial success have a number and a text in the same places.
    wrapped = b"\x0a" + _length(content := otlp.failure(otlp.PROTOBUF, 503, message)) + content
    response = ExportTraceServiceResponse.FromString(wrapped)
    assert (response.partial_success.rejected_spans, response.partial_success.error_message) == (14, message)
    assert json.loads(otlp.failure(otlp.JSON, 503, message)) == {"code": 14, "message": message}


def _length(content: bytes) -> bytes:
    size, found = len(content), bytearray()
    while size > 127:
        found.append(size & 127 | 128)
        size >>= 7
    return bytes([*found, size])


@pytest.mark.parametrize(
    ("path", "signal"),
    [
        ("/v1/traces", "traces"),
        ("/v1/metrics", "metrics"),
        ("/base/v1/logs", "logs"),
        ("/v1/profiles", None),
        ("/api/v1/lineage", None),
        ("/v1/traces/more", None),
    ],
)
def test_a_path_says_which_signal_it_exports(path: str, signal: str | None) -> None:
    assert otlp.signal_of(path) == signal


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/x-protobuf", otlp.PROTOBUF),
        ("Application/JSON; charset=utf-8", otlp.JSON),
        ("text/plain", None),
        ("", None),
    ],
)
def test_there_are_two_types(header: str, expected: str | None) -> None:
    assert otlp.content_type_of(header) == expected
