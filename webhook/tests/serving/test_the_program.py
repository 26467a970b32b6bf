"""`python -m floe_webhook` as people run it."""

import json
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from floe_certs.authority import create_authority, issue_serving_certificate
from webhook.tests.builders import pod
from webhook.tests.reviews import admission_review, patched
from webhook.tests.serving.conftest import LOCALHOST

MANIFEST = Path(__file__).parents[3] / "examples" / "manifest.yaml"
_SECONDS = 30


def command(folder: Path, manifest: Path = MANIFEST) -> list[str]:
    files = ["--manifest", manifest, "--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key"]
    where = ["--host", "127.0.0.1", "--port", 0, "--health-port", 0, "--port-file", folder / "port"]
    return [sys.executable, "-m", "floe_webhook", *map(str, [*files, *where])]


def write_certificates(folder: Path) -> ssl.SSLContext:
    now = datetime.now(UTC)
    authority = create_authority("tests", now=now)
    serving = issue_serving_certificate(authority, ip_addresses=[LOCALHOST], now=now)
    (folder / "tls.crt").write_bytes(serving.certificate_pem)
    (folder / "tls.key").write_bytes(serving.key_pem)
    return ssl.create_default_context(cadata=authority.certificate_pem.decode())


def port_of(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + _SECONDS
    file = folder / "port"
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, "the program ended"
        assert time.monotonic() < deadline, "the program does not listen"
        time.sleep(0.02)
    return int(file.read_text())


@pytest.mark.requirement("HOUSE-2", "HOUSE-8", "CC-6.1")
def test_it_serves_by_the_example_manifest_and_ends_on_sigterm(tmp_path: Path) -> None:
    trust = write_certificates(tmp_path)
    log = tmp_path / "log"
    with log.open("wb") as stderr, subprocess.Popen(command(tmp_path), stderr=stderr) as process:
        try:
            port = port_of(tmp_path, process)
            document = pod()
            with httpx.Client(verify=trust, trust_env=False) as client:
                found = client.post(f"https://127.0.0.1:{port}/mutate", json=admission_review(document))
            assert patched(document, found.json())["metadata"]["labels"]["floe.dev/injected"] == "true"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(_SECONDS) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events[-3:] == ["serving", "draining", "stopped"]
    assert lines[-3]["port"] == port
    assert "error" not in {line["level"] for line in lines}


@pytest.mark.requirement("HOUSE-8", "CC-5.1")
def test_a_bad_manifest_ends_it_at_once_with_what_is_wrong(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    (tmp_path / "manifest.yaml").write_text("apiVersion: floe.dev/v1\nkind: Manifest\n")
    ended = subprocess.run(
        command(tmp_path, tmp_path / "manifest.yaml"), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert ended.returncode == 1
    assert json.loads(ended.stderr.splitlines()[-1])["event"] == "not started"


@pytest.mark.requirement("CC-5.1")
def test_a_missing_certificate_ends_it_at_once(tmp_path: Path) -> None:
    ended = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert ended.returncode == 1
    assert "No such file" in json.loads(ended.stderr.splitlines()[-1])["reason"]
