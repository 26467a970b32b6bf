"""What a line of the log holds, whoever wrote it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from floe_core.logging import configure_logging
from floe_core.redaction import remember_secret

pytestmark = pytest.mark.requirement("CC-6.1", "HOUSE-12")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    sink = io.StringIO()
    configure_logging("info", "json", sink)
    yield sink
    root = logging.getLogger()
    for handler in list(root.handlers):
        if getattr(handler, "stream", None) is sink:
            root.removeHandler(handler)
    structlog.reset_defaults()


def refuse(key: str) -> None:
    raise RuntimeError(f"refused with key {key}")


def last(stream: io.StringIO) -> dict[str, object]:
    line: dict[str, object] = json.loads(stream.getvalue().splitlines()[-1])
    return line


def test_a_line_has_its_event_level_time_and_fields(stream: io.StringIO) -> None:
    structlog.get_logger("floe").info("profile_compiled", plugins=2)

    line = last(stream)
    assert (line["event"], line["level"], line["plugins"], line["logger"]) == ("profile_compiled", "info", 2, "floe")
    assert str(line["timestamp"]).endswith("Z")


def test_a_line_inside_a_span_names_its_trace(stream: io.StringIO) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("check") as span:
        structlog.get_logger("floe").info("checked")

    context = span.get_span_context()
    assert last(stream)["trace_id"] == format(context.trace_id, "032x")
    assert last(stream)["span_id"] == format(context.span_id, "016x")


def test_a_line_outside_of_a_span_names_none(stream: io.StringIO) -> None:
    structlog.get_logger("floe").info("started")

    assert "trace_id" not in last(stream)


def test_a_third_partys_line_looks_like_ours(stream: io.StringIO) -> None:
    logging.getLogger("vendor").warning("retrying %s", "https://user:hunter22@host/path")

    line = last(stream)
    assert (line["event"], line["logger"], line["level"]) == ("retrying https://***@host/path", "vendor", "warning")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    structlog.get_logger("floe").debug("detail")
    logging.getLogger("vendor").debug("detail")

    assert stream.getvalue() == ""


def test_http_clients_do_not_log_addresses(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.slack.com/services/T0/B0/verysecret")

    assert stream.getvalue() == ""


@pytest.mark.requirement("HOUSE-7")
def test_a_resolved_credential_is_masked_wherever_it_appears(stream: io.StringIO) -> None:
    remember_secret("s3cr3t-value-17")
    log = structlog.get_logger("floe")
    log.info(
        "sent", url="https://h/s3cr3t-value-17", nested={"a": ["s3cr3t-value-17"]}, thing=ValueError("s3cr3t-value-17")
    )

    assert "s3cr3t-value-17" not in stream.getvalue()


@pytest.mark.requirement("HOUSE-7")
def test_a_credential_in_an_exceptions_traceback_is_masked(stream: io.StringIO) -> None:
    remember_secret("s3cr3t-value-18")
    try:
        refuse("s3cr3t-value-18")
    except RuntimeError:
        structlog.get_logger("floe").exception("delivery_failed")
        logging.getLogger("vendor").exception("failed")

    assert stream.getvalue().count("RuntimeError") >= 2
    assert "s3cr3t-value-18" not in stream.getvalue()


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.requirement("HOUSE-3")
def test_what_has_no_text_or_an_odd_key_does_not_end_the_line_or_the_work(stream: io.StringIO) -> None:
    structlog.get_logger("floe").info("told", thing=Mute(), nested={("a", 1): [Mute()], 2: "b"})

    line = last(stream)
    assert line["thing"] == "<Mute without a text>"
    assert line["nested"] == {"('a', 1)": ["<Mute without a text>"], "2": "b"}


@pytest.mark.requirement("HOUSE-7")
def test_a_third_partys_line_that_cannot_be_made_is_told_by_its_place_alone(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    # To our handler alone: pytest's own would raise.
    (handler,) = [handler for handler in logging.getLogger().handlers if getattr(handler, "stream", None) is stream]
    handler.handle(logging.LogRecord("vendor", logging.WARNING, __file__, 1, "it has %d letters", ("hunter22",), None))

    line = last(stream)
    assert (line["event"], line["logger"], line["reason"]) == ("log_line_failed", "vendor", "TypeError")
    assert "test_one_line_per_event.py:" in str(line["where"])
    assert "hunter22" not in stream.getvalue() + "".join(capsys.readouterr())


@pytest.mark.requirement("HOUSE-7")
def test_objects_inside_of_values_are_redacted(stream: io.StringIO) -> None:
    structlog.get_logger("floe").info("told", details={"e": ValueError("password=hunter22")}, x={"token=hunter22"})

    assert "hunter22" not in stream.getvalue()
    assert last(stream)["details"] == {"e": "password=***"}


def test_a_stack_that_is_asked_for_is_in_the_line(stream: io.StringIO) -> None:
    structlog.get_logger("floe").info("where_am_i", stack_info=True)

    assert "test_a_stack_that_is_asked_for" in str(last(stream)["stack"])


def test_the_console_format_is_for_people() -> None:
    sink = io.StringIO()
    configure_logging("info", "console", sink)
    structlog.get_logger("floe").info("profile_compiled", plugins=2)
    structlog.reset_defaults()

    assert "profile_compiled" in sink.getvalue()
    assert "plugins=2" in sink.getvalue()
