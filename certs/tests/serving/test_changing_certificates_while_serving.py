"""A listener whose certificate changes: open connections go on, new ones see the new one, bad pairs change nothing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from certs.tests.builders import SERVER, brought
from floe_certs.authority import Certificate
from floe_certs.readiness import judge
from floe_certs.serving import PairError, ServingContext, client_context

pytestmark = pytest.mark.requirement("FP-8", "FP-24", "HOUSE-3")

NOW = datetime.now(UTC)


def fresh() -> dict[str, bytes]:
    return brought(now=NOW)


def pair(data: dict[str, bytes]) -> Certificate:
    return Certificate(data["tls.crt"], data["tls.key"])


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def listen(serving: ServingContext) -> tuple[asyncio.Server, tuple[str, int]]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=serving.context)
    return server, ("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_an_open_connection_goes_on_and_the_next_one_sees_the_new_certificate() -> None:
    serving, first, second = ServingContext(), fresh(), fresh()
    serving.serve(pair(first))
    server, address = await listen(serving)
    async with server:
        reader, writer = await asyncio.open_connection(
            *address, ssl=client_context(first["ca.crt"]), server_hostname=SERVER
        )
        serving.serve(pair(second))
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        assert (await judge({"a": second["ca.crt"]}, address, SERVER, now=NOW)).ready
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("spoil", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("with_what", ["another pair's", "junk"])
async def test_a_pair_that_cannot_be_served_leaves_the_last_good_one(spoil: str, with_what: str) -> None:
    serving, good = ServingContext(), fresh()
    serving.serve(pair(good))
    bad = fresh() | {spoil: good[spoil] if with_what == "another pair's" else b"junk"}

    with pytest.raises(PairError):
        serving.serve(pair(bad))

    server, address = await listen(serving)
    async with server:
        assert (await judge({"a": good["ca.crt"]}, address, SERVER, now=NOW)).ready
    assert serving.served == pair(good)


async def test_readiness_names_the_entry_that_would_fail_and_why() -> None:
    serving, good = ServingContext(), fresh()
    serving.serve(pair(good))
    server, address = await listen(serving)
    async with server:
        mixed = await judge({"a": good["ca.crt"], "b": fresh()["ca.crt"]}, address, SERVER, now=NOW)
        empty = await judge({"a": good["ca.crt"], "b": b""}, address, SERVER, now=NOW)
        unreadable = await judge({"a": b"no PEM"}, address, SERVER, now=NOW)
        misnamed = await judge({"a": good["ca.crt"]}, address, "elsewhere.floe.svc", now=NOW)

    assert not mixed.ready
    assert mixed.reason == "A handshake as by the entry b fails: unable to get local issuer certificate."
    assert (empty.ready, empty.reason) == (False, "The entry b has no caBundle yet.")
    assert not unreadable.ready
    assert not misnamed.ready
    assert "elsewhere.floe.svc" in misnamed.reason


async def test_without_a_certificate_a_listener_or_a_configuration_a_replica_is_not_ready() -> None:
    good = fresh()
    server, address = await listen(ServingContext())
    async with server:
        assert not (await judge({"a": good["ca.crt"]}, address, SERVER, now=NOW)).ready
    assert not (await judge({"a": good["ca.crt"]}, address, SERVER, now=NOW)).ready
    assert not (await judge(None, address, SERVER, now=NOW)).ready


async def test_an_ended_certificate_is_not_ready() -> None:
    serving, old = ServingContext(), brought(now=NOW - timedelta(days=91))
    serving.serve(pair(old))
    server, address = await listen(serving)
    async with server:
        verdict = await judge({"a": old["ca.crt"]}, address, SERVER, now=NOW)
    assert "certificate has expired" in verdict.reason
