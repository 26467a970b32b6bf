"""Log lines as JSON objects on standard error; standard output belongs to the console delivery.

Callers log changes of state (backend lost, backend back, spool full), never each event, so that an outage of a day
stays readable. Values are counts, ports, paths and reasons; bodies, headers and keys are never passed in.
"""

from __future__ import annotations

import logging
import sys
import time

import msgspec

_logger = logging.getLogger("floe_sidecar")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields that the caller gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Renders the record; an exception is named by its type and message only."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return msgspec.json.encode(line, enc_hook=str).decode()


def start_logging(level: str) -> None:
    """Sends everything of at least `level` to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # asyncio's own remarks (slow callbacks, late errors of sockets) matter only when they are errors.
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def log(level: int, event: str, **fields: object) -> None:
    """Writes one line; `fields` become keys of the JSON object."""
    _logger.log(level, event, extra={"fields": fields})
