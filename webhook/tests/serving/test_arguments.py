"""What the program is told: lengths of time, variables beside flags, and what has to be given together."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from floe_certs.authority import create_authority
from floe_core.errors import ConfigurationError
from floe_webhook import __main__ as program
from floe_webhook.arguments import Arguments
from floe_webhook.durations import parse_duration
from webhook.tests.serving.program import MANIFEST

pytestmark = pytest.mark.requirement("CC-5.1", "HOUSE-8")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("PT90M", timedelta(minutes=90)),
        ("PT1H30M", timedelta(minutes=90)),
        ("365d", timedelta(days=365)),
        ("P365D", timedelta(days=365)),
        ("P1DT12H", timedelta(hours=36)),
        ("0.25s", timedelta(milliseconds=250)),
        ("PT0.25S", timedelta(milliseconds=250)),
    ],
)
def test_a_length_of_time_is_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "5", "1y", "P1Y", "P1M", "-5m", "m", "5m3h", "9" * 400 + "d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer"):
        parse_duration(text)


@given(st.integers(0, 10**4), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_both_ways_of_writing_mean_the_same(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected
    assert parse_duration(f"P{days}DT{hours}H{minutes}M{seconds}S") == expected


def told(monkeypatch: pytest.MonkeyPatch, *flags: str, **variables: str) -> Arguments:
    """What the program would serve with."""
    found: list[Arguments] = []

    async def serve(arguments: Arguments) -> None:
        found.append(arguments)

    monkeypatch.setattr(program, "serve", serve)
    result = CliRunner().invoke(program.main, ["--manifest", "manifest.yaml", *flags], env=variables)
    assert result.exit_code == 0, result.output
    return found[0]


def test_every_flag_may_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "FLOE_WEBHOOK_DRAIN_SECONDS": "7",
        "FLOE_WEBHOOK_CERTIFICATES": "own",
        "FLOE_WEBHOOK_SERVING_LIFETIME": "PT90M",
        "FLOE_WEBHOOK_SERVER_NAME": "a.example b.example",
    }
    found = told(monkeypatch, **variables)
    assert (found.drain_seconds, found.certificates, found.serving_lifetime) == (7, "own", timedelta(minutes=90))
    assert found.server_name == ("a.example", "b.example")
    assert told(monkeypatch, "--drain-seconds", "3", **variables).drain_seconds == 3, "a flag beats its variable"


@pytest.mark.parametrize("prefix", ["FLOE", "FLOE_WEBHOOK"])
def test_who_and_where_it_is_comes_from_the_downward_api(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    found = told(monkeypatch, **{f"{prefix}_RELEASE_NAMESPACE": "floe", f"{prefix}_POD_NAME": "webhook-1"})
    assert (found.release_namespace, found.pod_name) == ("floe", "webhook-1")


def test_a_services_address_in_a_variable_of_ours_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kubernetes sets FLOE_WEBHOOK_PORT in every pod of a namespace with a Service named floe-webhook.
    assert told(monkeypatch, FLOE_WEBHOOK_PORT="tcp://10.96.0.7:443").port == 8443


def test_a_length_of_time_that_cannot_be_read_says_how_to_write_one() -> None:
    result = CliRunner().invoke(program.main, ["--manifest", "m", "--serving-lifetime", "soon"])
    assert result.exit_code == click.UsageError.exit_code
    assert "90m" in result.output


class TestWhatHasToBeGivenTogether:
    """The errors name the flag."""

    NAMES = (
        *("--certificate-secret", "tls", "--lease", "floe", "--webhook-configuration", "floe"),
        *("--release-namespace", "floe"),
    )

    def test_files_need_both_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = told(monkeypatch, "--tls-cert", "tls.crt")
        with pytest.raises(ConfigurationError, match="--tls-key"):
            found.certificate_files()
        assert told(monkeypatch, "--tls-cert", "a", "--tls-key", "b").certificate_files() == (Path("a"), Path("b"))

    @pytest.mark.parametrize("missing", range(0, len(NAMES), 2))
    def test_a_certificate_of_the_cluster_needs_every_name(self, monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
        names = [*self.NAMES[:missing], *self.NAMES[missing + 2 :]]
        with pytest.raises(ConfigurationError, match=self.NAMES[missing]):
            told(monkeypatch, "--certificates", "own", *names).cluster_objects()

    def test_the_certificate_bears_the_services_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = told(monkeypatch, "--certificates", "own", *self.NAMES, "--service", "floe-webhook")
        assert found.certificate_settings().names == ("floe-webhook.floe.svc",)
        named = told(monkeypatch, "--certificates", "secret", *self.NAMES, "--server-name", "10.0.0.1")
        assert named.certificate_settings().server_name == "10.0.0.1"

    @pytest.mark.parametrize(
        ("flags", "told_of"),
        [
            pytest.param((), "--service", id="nothing names the server"),
            pytest.param(("--service", "w", "--serving-lifetime", "30s"), "too short", id="too short to be renewed"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], told_of: str
    ) -> None:
        found = told(monkeypatch, "--certificates", "own", *self.NAMES, *flags)
        with pytest.raises(ConfigurationError, match=told_of):
            found.certificate_settings()


def test_every_argument_is_a_flag() -> None:
    flags: set[Any] = {parameter.name for parameter in program.main.params} - {"log_level", "log_format"}
    assert flags == set(Arguments.__slots__)


class TestNotStarted:
    """What cannot work ends the program at once, with what is wrong and what to do."""

    @staticmethod
    def told(*flags: str, **variables: str | None) -> dict[str, Any]:
        result = CliRunner().invoke(program.main, ["--manifest", str(MANIFEST), *flags], env=variables)
        assert result.exit_code == 1
        line: dict[str, Any] = json.loads(result.stderr.splitlines()[-1])
        assert line["event"] == "not started"
        return line

    def test_a_certificate_of_the_cluster_needs_a_cluster(self) -> None:
        line = self.told("--certificates", "own", KUBERNETES_SERVICE_HOST=None)
        assert line["where"] == "KUBERNETES_SERVICE_HOST"
        assert "service account" in line["what"]
        assert line["remedy"]

    def test_a_certificate_of_the_cluster_needs_names(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_bytes(create_authority("cluster", now=datetime.now(UTC)).certificate_pem)
        line = self.told(
            "--certificates",
            "own",
            "--service",
            "floe-webhook",
            "--service-account",
            str(tmp_path),
            KUBERNETES_SERVICE_HOST="127.0.0.1",
            FLOE_RELEASE_NAMESPACE="floe",
        )
        assert line["what"] == ("--certificates own needs --lease, --certificate-secret, --webhook-configuration.")

    def test_files_need_files(self) -> None:
        assert self.told(KUBERNETES_SERVICE_HOST=None)["where"] == "--tls-cert"
