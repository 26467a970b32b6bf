"""TLS with authorities, client certificates and keys out of files that come late, are rotated, or cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from floe_sidecar.certificates import CertificateFiles, Certificates, CertificatesUnusableError
from sidecar.tests.builders import body, get, post, relay, until
from sidecar.tests.reaching.servers import behind_tls, write_client
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("CC-3.3", "RELAY-4")


def files(folder: Path) -> dict[str, Path]:
    return {
        "lineage_ca_file": folder / "ca.crt",
        "lineage_client_certificate_file": folder / "tls.crt",
        "lineage_client_key_file": folder / "tls.key",
    }


async def test_https_is_verified_with_the_given_authority(tmp_path: Path, backend: BackendStandIn) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with behind_tls(backend, authority) as url:
        async with relay(tmp_path / "a", lineage_url=url, lineage_ca_file=tmp_path / "ca.pem") as sidecar:
            assert (await post(sidecar.application.port, body())).status == 201
            await until(lambda: sidecar.writer.level.events == 0)
        async with relay(tmp_path / "b", lineage_url=url) as distrustful:
            assert (await post(distrustful.application.port, body())).status == 201
            await until(lambda: distrustful.metrics.retried.total > 0)
            assert "certificate" in distrustful.delivery.last.failure
    assert len(backend.accepted) == 1


async def test_a_rotated_client_certificate_is_used_without_a_restart(tmp_path: Path, backend: BackendStandIn) -> None:
    server, old, new = trustme.CA(), trustme.CA(), trustme.CA()
    server.cert_pem.write_to_path(tmp_path / "ca.crt")
    write_client(old, tmp_path)
    async with (
        behind_tls(backend, server, clients=old) as before,
        relay(tmp_path, lineage_url=before, **files(tmp_path)) as sidecar,
    ):
        assert (await post(sidecar.application.port, body())).status == 201
        await until(lambda: sidecar.writer.level.events == 0)
    async with (
        behind_tls(backend, server, clients=new) as after,
        relay(tmp_path, lineage_url=after, **files(tmp_path)) as sidecar,
    ):
        assert (await post(sidecar.application.port, body(2))).status == 201
        await until(lambda: bool(sidecar.delivery.last.failure))
        assert sidecar.writer.level.events == 1
        write_client(new, tmp_path)
        await until(lambda: sidecar.writer.level.events == 0)
    assert [seen.body for seen in backend.accepted] == [body(), body(2)]


async def test_files_that_come_late_keep_nothing_from_being_taken(tmp_path: Path, backend: BackendStandIn) -> None:
    authority = trustme.CA()
    async with (
        behind_tls(backend, authority, clients=authority) as url,
        relay(tmp_path, lineage_url=url, **files(tmp_path)) as sidecar,
    ):
        assert (await post(sidecar.application.port, body())).status == 201
        await until(lambda: "is missing" in sidecar.delivery.last.failure)
        status: dict[str, Any] = json.loads((await get(sidecar.health.port, "/status")).body)
        assert str(tmp_path / "tls.key") in status["backend"]["last_failure"]
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        write_client(authority, tmp_path)
        await until(lambda: sidecar.writer.level.events == 0)
    assert len(backend.accepted) == 1


def certificates(folder: Path, clock: list[float]) -> Certificates:
    paths = CertificateFiles(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
    return Certificates(paths, what="TLS for the lineage backend", clock=lambda: clock[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    write_client(authority, tmp_path)
    return tmp_path


def test_a_set_that_cannot_be_used_leaves_the_last_good_one_in_place(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]
    own = certificates(folder, clock)
    good = own.context()
    key = (folder / "tls.key").read_text()
    (folder / "tls.key").write_text(key[: len(key) // 2])
    for moment in (2.0, 4.0):
        clock[0] = moment
        assert not own.look()
        assert own.context() is good
    told = [record for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(told) == 1
    assert key[100:140] not in caplog.text
    (folder / "tls.key").write_text(key)
    clock[0] = 6.0
    assert own.look()
    assert own.context() is not good


def test_the_files_are_looked_at_once_a_second_at_most(folder: Path) -> None:
    clock = [0.0]
    own = certificates(folder, clock)
    good = own.context()
    write_client(trustme.CA(), folder)
    clock[0] = 0.9
    assert own.context() is good
    clock[0] = 1.0
    assert own.look()


@pytest.mark.parametrize("spoil", ["missing", "garbage", "encrypted"])
def test_what_cannot_be_used_is_said_with_its_file(folder: Path, spoil: str, capfd: pytest.CaptureFixture[str]) -> None:
    file = folder / "tls.key"
    if spoil == "missing":
        file.unlink()
    elif spoil == "garbage":
        file.write_text("no key")
    else:
        file.write_bytes(encrypted(file.read_bytes()))
    with pytest.raises(CertificatesUnusableError, match="TLS for the lineage backend cannot be used"):
        certificates(folder, [0.0]).context()
    assert "pass phrase" not in "".join(capfd.readouterr())  # nobody is asked for one


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - here only

    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
