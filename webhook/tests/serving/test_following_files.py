"""Manifest and certificate follow their files; a bad file leaves the last good one in force."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from floe_core.errors import ConfigurationError
from floe_webhook.leading import keep_running
from floe_webhook.metrics import Metrics
from floe_webhook.profile import Profile
from floe_webhook.reload import CurrentProfile, follow
from webhook.tests.builders import PROFILE, profile
from webhook.tests.serving.conftest import Serving

OTHER = profile(injection={"telemetry": "direct"})


def read(file: Path) -> Profile:
    text = file.read_text()
    if text == "bad":
        raise ConfigurationError("The manifest is bad.", remedy="Mend it.")
    if text == "surprising":
        raise KeyError("hunter2")  # a plugin's defect, for one
    return OTHER if text == "other" else PROFILE


@pytest.fixture
def read_profile() -> Callable[[Path], Profile]:
    return read


def _served(url: str) -> x509.Certificate:
    """The certificate that a new connection sees."""
    host, port = url.removeprefix("https://").split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as secured:
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


@pytest.mark.requirement("HOUSE-8", "FP-29")
async def test_a_changed_manifest_comes_into_force_as_a_whole(serving: Serving) -> None:
    serving.manifest.write_text("other")
    assert serving.webhook.profile.refresh() is True
    assert (await serving.client.get("/readyz")).json()["profile"] == OTHER.identity


@pytest.mark.requirement("HOUSE-8", "FP-29", "HOUSE-12")
@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda file: file.write_text("bad"), id="bad"),
        pytest.param(lambda file: file.write_text("surprising"), id="an error that nobody expected"),
        pytest.param(lambda file: file.unlink(), id="gone"),
    ],
)
async def test_a_bad_manifest_leaves_the_last_good_one_and_is_told(
    serving: Serving, break_it: Callable[[Path], None]
) -> None:
    break_it(serving.manifest)
    assert serving.webhook.profile.refresh() is False
    found = await serving.client.get("/readyz")
    assert found.status_code == 200
    assert found.json()["profile"] == PROFILE.identity
    assert found.json()["manifest_error"]
    assert "hunter2" not in found.text
    assert "floe_webhook_manifest_valid 0.0" in (await serving.client.get("/metrics")).text
    serving.manifest.write_text("first again")
    assert serving.webhook.profile.refresh() is True
    assert (await serving.client.get("/readyz")).json()["manifest_error"] is None


@pytest.mark.requirement("HOUSE-8")
def test_without_a_good_manifest_there_is_nothing_to_start_with(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("bad")
    with pytest.raises(ConfigurationError):
        CurrentProfile.start(tmp_path / "manifest.yaml", Metrics(), read)


@pytest.mark.requirement("FP-8")
async def test_a_new_certificate_serves_the_next_connection_and_drops_none(serving: Serving) -> None:
    before = await asyncio.to_thread(_served, serving.url)
    await serving.client.get("/healthz")
    serving.renew_certificate(days=3)
    assert serving.files.refresh() is True
    assert (await serving.client.get("/healthz")).status_code == 200
    after = await asyncio.to_thread(_served, serving.url)
    assert after.serial_number != before.serial_number
    assert after.not_valid_after_utc == serving.files.expires_at


@pytest.mark.requirement("FP-8")
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"], ids=["empty", "cut off"])
async def test_a_bad_certificate_leaves_the_last_good_one_and_is_told(serving: Serving, content: bytes) -> None:
    before = await asyncio.to_thread(_served, serving.url)
    serving.certificate.write_bytes(content)
    assert serving.files.refresh() is False
    assert (await asyncio.to_thread(_served, serving.url)).serial_number == before.serial_number
    assert "tls.crt" in (await serving.client.get("/readyz")).json()["certificate_error"]


@pytest.mark.requirement("FP-8")
async def test_a_key_of_another_certificate_leaves_the_last_good_pair(serving: Serving) -> None:
    before = await asyncio.to_thread(_served, serving.url)
    good = serving.certificate.read_bytes()
    serving.renew_certificate(days=3)
    serving.certificate.write_bytes(good)
    assert serving.files.refresh() is False
    assert (await asyncio.to_thread(_served, serving.url)).serial_number == before.serial_number


@pytest.mark.requirement("HOUSE-8")
async def test_following_goes_on_after_an_error_that_is_counted() -> None:
    refreshed = 0
    often_enough = asyncio.Event()

    async def refresh() -> bool:
        nonlocal refreshed
        refreshed += 1
        if refreshed == 1:
            raise RuntimeError("once")
        often_enough.set()
        return False

    failures: list[str] = []
    run = partial(follow, refresh, seconds=0.001)
    task = asyncio.create_task(keep_running("manifest", run, failures.append, sleep=lambda _: asyncio.sleep(0)))
    await asyncio.wait_for(often_enough.wait(), timeout=10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refreshed >= 2
    assert failures == ["manifest"]
