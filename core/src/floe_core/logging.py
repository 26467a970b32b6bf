"""Structured logging of the services: one line per event, with trace correlation and without secrets.

structlog's and the standard library's loggers take the same road, so that a third party's line is redacted, correlated
and rendered like ours:

    structlog ──┐
                ├─ level, time, trace id, span id ─ exceptions as text ─ redaction ─ JSON or console
    stdlib ─────┘

The redaction stands last before the rendering, after exceptions have become text: nothing passes beside it.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from opentelemetry import trace

from floe_core.redaction import redact_value

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
EventDict = MutableMapping[str, Any]

# They log whole addresses at INFO, and an address can be a credential.
QUIETED = ("httpx", "httpcore", "openlineage", "asyncio", "urllib3", "aiohttp.access")


def configure_logging(level: LogLevel = "info", format: LogFormat = "json", stream: TextIO | None = None) -> None:  # noqa: A002 - the manifest's key
    """Sets up logging of the whole process; calling it again replaces the set-up.

    Args:
        level: Least severity that is written; libraries that are known to be chatty write warnings and errors only.
        format: `json` for machines, `console` for people.
        stream: Where lines go; standard error by default, since standard output belongs to a command's result.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace_context,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    sink = stream or sys.stderr
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sink.isatty())
    )
    handler = _Handler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIETED:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be made is told by its place, for its arguments have not been redacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as inherited
        """A line about the line, e.g. for a third party's `log("%d", "text")`."""
        kind = getattr(sys.exc_info()[0], "__name__", "error")
        place = f"{record.pathname}:{record.lineno}"
        line = {"event": "log_line_failed", "level": "error", "logger": record.name, "where": place, "reason": kind}
        with suppress(OSError, ValueError):  # the stream itself may be what failed
            self.stream.write(json.dumps(line) + self.terminator)


def add_trace_context(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Adds `trace_id` (32 hex digits) and `span_id` (16) of the span that runs now (requirements file 003 §6.1)."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


def redact_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Masks credentials in every value of the line, exceptions and objects' texts included."""
    for key, value in event.items():
        if key.startswith("_"):
            continue
        event[key] = _redact_entry(key, value)
    return event


def _redact_entry(key: str, value: object) -> object:
    redacted = redact_value({key: value})
    assert isinstance(redacted, dict)  # noqa: S101 - a mapping stays a mapping
    return redacted[key]
