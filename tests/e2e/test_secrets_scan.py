"""The search for credentials in what a run of the tests has left: it finds what is there, and tells no value.

The search itself takes place when all tests are over (`conftest.py`), over all of the run.
"""

import base64
import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.admission import IMAGE, create_namespace, pod
from tests.e2e.cluster.control_plane import control_plane
from tests.e2e.cluster.kept_logs import kept_logs
from tests.e2e.evidence import Leak, scan

pytestmark = pytest.mark.requirement("HOUSE-7", "CC-2.3")

VALUE = "not-a-word-anybody-says"
ENCODED = base64.b64encode(VALUE.encode()).decode()
KEY_PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\nAAAA\n-----END PRIVATE KEY-----\n"
)


def _entry(resource: str, document: dict[str, Any]) -> str:
    reference = {"resource": resource, "namespace": "sales", "name": "keys"}
    return json.dumps({"objectRef": reference, "responseObject": document}, separators=(",", ":")) + "\n"


@pytest.fixture
def planted() -> Iterator[Path]:
    """A folder beside the run's own: what is planted here must not fail the run."""
    with tempfile.TemporaryDirectory(prefix="floe-e2e-planted-") as folder:
        yield Path(folder)


@pytest.fixture
def audit(planted: Path) -> Callable[[str, dict[str, Any]], None]:
    """Writes a line into an audit log."""

    def write(resource: str, document: dict[str, Any]) -> None:
        with (planted / "audit.log").open("a") as log:
            log.write(_entry(resource, document))

    return write


@pytest.mark.parametrize(
    ("file", "words"),
    [
        pytest.param("webhook.log", f"sending with {VALUE}", id="a log"),
        pytest.param("sales_app_uid/app/0.log", f"stdout F {ENCODED}", id="a container's log, encoded"),
        pytest.param("webhook.metrics", f'requests{{key="{VALUE}"}} 1', id="a metric"),
        pytest.param("jaeger.spans", json.dumps({"tags": [{"value": VALUE}]}), id="a span"),
    ],
)
def test_a_credential_in_a_files_words_is_found_where_it_is(
    file: str, words: str, planted: Path, audit: Callable[..., None]
) -> None:
    audit("secrets", {"metadata": {"name": "keys"}, "data": {"api_key": ENCODED}})
    path = planted / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"nothing here\n{words}\n")

    assert scan(planted).leaks == [Leak(file, 2, "sales/keys: api_key")]


@pytest.mark.parametrize("resource", ["pods", "events", "configmaps", "mutatingwebhookconfigurations"])
def test_a_credential_in_a_stored_object_is_found(resource: str, planted: Path, audit: Callable[..., None]) -> None:
    audit("secrets", {"metadata": {"name": "keys"}, "stringData": {"api_key": VALUE}})
    audit(resource, {"metadata": {"annotations": {"a": f"with {VALUE}"}}})

    assert scan(planted).leaks == [Leak("audit.log", 2, "sales/keys: api_key")]


def test_a_secret_itself_is_no_leak_of_what_it_holds(planted: Path, audit: Callable[..., None]) -> None:
    audit("secrets", {"metadata": {"name": "keys"}, "data": {"api_key": ENCODED}})

    found = scan(planted)

    assert (found.leaks, found.credentials, found.lines) == ([], 1, 1)


def test_a_private_key_is_found_by_one_of_its_lines(planted: Path, audit: Callable[..., None]) -> None:
    audit("secrets", {"metadata": {"name": "tls"}, "stringData": {"tls.key": KEY_PEM}})
    audit("events", {"message": KEY_PEM})

    assert [leak.secret for leak in scan(planted).leaks] == ["sales/tls: tls.key"]


def test_a_certificate_is_public(planted: Path, audit: Callable[..., None]) -> None:
    certificate = KEY_PEM.replace("PRIVATE KEY", "CERTIFICATE")
    audit("secrets", {"metadata": {"name": "tls"}, "stringData": {"ca.crt": certificate}})
    audit("events", {"message": certificate})

    assert scan(planted).leaks == []


def test_what_is_found_does_not_tell_the_value(planted: Path, audit: Callable[..., None]) -> None:
    audit("secrets", {"metadata": {"name": "keys"}, "stringData": {"api_key": VALUE}})
    audit("pods", {"value": VALUE})

    assert VALUE not in str(scan(planted))


def test_a_log_is_kept_although_its_pod_is_deleted(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "sales_app_uid" / "app" / "0.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\n")

    with kept_logs(tmp_path / "logs", tmp_path / "kept"), log.open("a") as container:
        _wait_until_opened(log)
        log.unlink()
        container.write("second\n")

    assert (tmp_path / "kept" / "sales_app_uid" / "app" / "0.log").read_text() == "first\nsecond\n"


def _wait_until_opened(log: Path) -> None:
    me = Path("/proc/self/fd")
    readers = 0
    while readers < 2:  # ours that writes, and the keeper's
        readers = sum(_target(one) == str(log) for one in me.iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.e2e
def test_a_real_api_servers_log_tells_the_credential_that_a_pod_gives_away(planted: Path) -> None:
    value = secrets.token_urlsafe(16)
    with control_plane(planted) as cluster, cluster.client() as client:
        home = create_namespace(client, {})
        metadata = {"name": "keys", "namespace": home.name}
        client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": value}})
        env = [{"name": "TOKEN", "value": value}]
        client.create(pod(home, spec={"containers": [{"name": "app", "image": IMAGE, "env": env}]}))

    assert {(leak.file, leak.secret) for leak in scan(planted).leaks} == {("audit.log", f"{home.name}/keys: token")}
