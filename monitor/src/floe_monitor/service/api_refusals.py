"""Answers of the API: models as JSON, and each error as a status with a `Failure` that says what to do."""

from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from floe_core.errors import ConfigurationError, FloeError, ValidationError
from floe_monitor.service.api_documents import Difference, Failure, ProblemDocument
from floe_monitor.service.bearer import TokensUnreadableError
from floe_monitor.service.registry import ContractDiffersError, HeldByDirectoryError, NotRegisteredError
from floe_monitor.service.roster import WatchedElsewhereError

_log = structlog.get_logger(__name__)
_UNAVAILABLE: Final = 503
_RETRY: Final = {"Retry-After": "2"}


class ContentTypeError(ConfigurationError):
    """A body is of a type that is no contract's."""

    code = "content_type"


_STATUS: Final[tuple[tuple[type[FloeError], int], ...]] = (
    (ContractDiffersError, 409),
    (HeldByDirectoryError, 409),
    (NotRegisteredError, 404),
    (ContentTypeError, 415),
    (WatchedElsewhereError, _UNAVAILABLE),
    (ValidationError, 422),
)


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A model as JSON."""
    return web.Response(
        text=body.model_dump_json(), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def unauthorised() -> web.Response:
    """The answer to a request without a token that is accepted."""
    body = Failure(code="unauthorised", what="The bearer token is missing or wrong.")
    return answer(body, 401, {"WWW-Authenticate": 'Bearer realm="floe-contract-monitor"'})


def refusal_of(error: Exception, path: str) -> web.Response:
    """The answer to a request that failed; what nobody expected is logged, and told as a defect."""
    if isinstance(error, FloeError):
        return _refused(error)
    if isinstance(error, web.HTTPException):
        return answer(Failure(code="refused", what=error.reason), error.status)
    if isinstance(error, TokensUnreadableError):
        _log.error("api.no_token", reason=str(error))
        return answer(Failure(code="no_token", what="The monitor has no token to compare with."), _UNAVAILABLE)
    if isinstance(error, (SQLAlchemyError, OSError)):
        _log.warning("api.store_unreachable", reason=type(error).__name__)
        body = Failure(code="store_unreachable", what="The database cannot be reached now.", remedy="Ask again soon.")
        return answer(body, _UNAVAILABLE, _RETRY)
    _log.error("api.failed", path=path, exc_info=error)
    return answer(Failure(code="defect", what="This is a defect of the monitor; its log tells more."), 500)


def _refused(error: FloeError) -> web.Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    problems = error.problems if isinstance(error, ValidationError) else ()
    changes = error.changes if isinstance(error, ContractDiffersError) else ()
    body = Failure(
        code=error.code,
        what=error.what,
        remedy=error.remedy,
        problems=[ProblemDocument.model_validate(problem.as_dict()) for problem in problems],
        differences=[
            Difference.model_validate({"level": change.level.name.lower(), "path": change.path, "what": change.what})
            for change in changes
        ],
    )
    return answer(body, status, _RETRY if status == _UNAVAILABLE else None)
