"""Errors say what, where and what to do, carry their exit code and trace, and never a secret."""

from collections.abc import Callable

import pydantic
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from floe_core import errors
from floe_core.errors import FloeError, Location, PluginExecutionError, Problem, ValidationError, plugin_boundary

pytestmark = pytest.mark.requirement("CC-5.1")


@pytest.mark.parametrize(
    ("kind", "parent", "exit_code", "code"),
    [
        ("FloeError", Exception, 1, "floe"),
        ("ConfigurationError", FloeError, 1, "configuration"),
        ("ValidationError", errors.ConfigurationError, 1, "validation"),
        ("CompilationError", errors.ConfigurationError, 1, "compilation"),
        ("ExecutionError", FloeError, 2, "execution"),
        ("DbtError", errors.ExecutionError, 2, "dbt"),
        ("ConnectionError", errors.ExecutionError, 2, "connection"),
        ("PluginExecutionError", errors.ExecutionError, 2, "plugin_execution"),
    ],
)
def test_the_tree_and_its_exit_codes(kind: str, parent: type[Exception], exit_code: int, code: str) -> None:
    made: type[FloeError] = getattr(errors, kind)
    assert issubclass(made, parent)
    assert (made.exit_code, made.code) == (exit_code, code)


def test_an_error_is_told_as_place_what_and_remedy() -> None:
    error = FloeError("It is wrong.", where=Location("a.yaml", 2, 5, "b.c"), remedy="Mend it.")
    assert str(error) == "a.yaml:2:5 (b.c): It is wrong. Mend it."
    assert error.as_dict() == {
        "code": "floe",
        "what": "It is wrong.",
        "where": "a.yaml:2:5 (b.c)",
        "remedy": "Mend it.",
        "details": {},
        "trace_id": None,
    }


def test_an_error_within_a_span_carries_its_trace() -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("work") as span:
        error = FloeError("It is wrong.")
    assert error.trace_id == format(span.get_span_context().trace_id, "032x")
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.requirement("HOUSE-7")
def test_no_part_of_an_error_holds_a_secret() -> None:
    secret = "password=hunter2"
    problem = Problem(f"it has {secret}", Location("a.yaml"), f"not {secret}")
    error = ValidationError(
        secret,
        where=f"at {secret}",
        remedy=secret,
        details={"password": "hunter2", "list": [secret]},
        problems=[problem],
    )
    assert "hunter2" not in str(error) + repr(error) + str(error.as_dict())


def test_several_problems_stand_one_a_line() -> None:
    problems = [Problem("one.", Location("a", 1, 1)), Problem("two.", Location("a", 2, 1), "Mend.")]
    assert str(ValidationError.of("The file", problems)) == (
        "a: The file has 2 problems.\n  a:1:1: one.\n  a:2:1: two. Mend."
    )
    assert str(ValidationError.of("The file", problems[1:])) == "a:2:1: two. Mend."


def test_a_plugins_own_exception_is_translated() -> None:
    with pytest.raises(PluginExecutionError) as caught, plugin_boundary("acme", "get_helm_values"):
        raise KeyError("site")
    assert (caught.value.plugin, caught.value.action) == ("acme", "get_helm_values")
    assert caught.value.details["exception"] == "KeyError"
    assert caught.value.__suppress_context__
    assert caught.value.remedy


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Site(pydantic.BaseModel):
    port: int


def _validate(given: str) -> None:
    Site.model_validate({"port": given})


def _exit() -> None:
    raise SystemExit("bye")


def _mute() -> None:
    raise MuteError


def _shout() -> None:
    raise ValueError("x" * 100_000)


@pytest.mark.requirement("HOUSE-3", "HOUSE-7")
@pytest.mark.parametrize(
    ("fail", "said"),
    [
        pytest.param(_exit, "failed with SystemExit: bye", id="it ends the process"),
        pytest.param(_mute, "failed with MuteError: it does not say why", id="its text fails, too"),
        pytest.param(lambda: _validate("raw-t0ken"), "port: Input should be a valid integer", id="pydantic's own"),
    ],
)
def test_whatever_a_plugin_raises_is_translated_without_its_values(fail: Callable[[], None], said: str) -> None:
    with pytest.raises(PluginExecutionError) as caught, plugin_boundary("acme", "get_helm_values"):
        fail()
    assert said in str(caught.value)
    assert "raw-t0ken" not in str(caught.value) + str(caught.value.as_dict())


def test_a_plugins_text_is_bounded() -> None:
    with pytest.raises(PluginExecutionError) as caught, plugin_boundary("acme", "get_helm_values"):
        _shout()
    assert len(str(caught.value)) < 4_000


def test_an_error_of_ours_passes_the_boundary_as_it_is() -> None:
    with pytest.raises(ValidationError), plugin_boundary("acme", "creation"):
        raise ValidationError("The site is unknown.")
