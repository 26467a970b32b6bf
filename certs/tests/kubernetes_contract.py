"""What an API server does with our requests; run against the one in memory and, end to end, against a real one.

Each rule takes a `ClusterApi` whose webhook configuration has the entries `ENTRIES` and no caBundle, and
whose namespace has neither Secret nor Lease.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from floe_certs.api import ConflictError, Lease, RefusedError
from floe_certs.authority import create_authority
from floe_certs.kubernetes import ClusterApi

ENTRIES = ("namespace.inject.floe.dev", "pod.inject.floe.dev")
Rule = Callable[[ClusterApi], Awaitable[None]]

BUNDLE = create_authority("a contract", now=datetime.now(UTC)).certificate_pem
_TIME = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def a_secret_is_made_read_and_replaced_with_what_left_it(api: ClusterApi) -> None:
    assert await api.read_secret() is None
    await api.write_secret({"a": b"\x00one", "b": b"two"}, None)

    stored = await api.read_secret()
    assert stored is not None
    await api.write_secret({"a": b"three"}, stored)

    final = await api.read_secret()
    assert final is not None
    assert final.data == {"a": b"three"}


async def only_one_of_two_makes_the_secret(api: ClusterApi) -> None:
    await api.write_secret({"a": b"first"}, None)

    with pytest.raises(ConflictError):
        await api.write_secret({"a": b"second"}, None)

    stored = await api.read_secret()
    assert stored is not None
    assert stored.data == {"a": b"first"}


async def only_one_of_two_replaces_what_both_have_read(api: ClusterApi) -> None:
    read_by_both = await api.write_secret({"a": b"0"}, None)
    await api.write_secret({"a": b"1"}, read_by_both)

    with pytest.raises(ConflictError):
        await api.write_secret({"a": b"2"}, read_by_both)


async def every_entry_gets_the_bundle_and_keeps_the_rest(api: ClusterApi) -> None:
    live = await api.read_trust()
    assert live is not None
    assert live.bundles == {ENTRIES[0]: b"", ENTRIES[1]: b""}

    applied = await api.apply_trust(BUNDLE, live)

    assert applied.bundles == dict.fromkeys(ENTRIES, BUNDLE)
    assert await api.read_trust() == applied


async def a_bundle_is_not_applied_to_a_configuration_that_changed(api: ClusterApi) -> None:
    read_by_both = await api.read_trust()
    assert read_by_both is not None
    applied = await api.apply_trust(BUNDLE, read_by_both)

    with pytest.raises(ConflictError):
        await api.apply_trust(BUNDLE + BUNDLE, read_by_both)

    assert await api.read_trust() == applied


async def an_entry_that_is_gone_is_not_made_again(api: ClusterApi) -> None:
    live = await api.read_trust()
    assert live is not None

    with pytest.raises(RefusedError, match="422"):
        await api.apply_trust(BUNDLE, replace(live, bundles={**live.bundles, "gone.inject.floe.dev": b""}))


async def a_lease_is_taken_renewed_and_given_back(api: ClusterApi) -> None:
    assert await api.read_lease() is None
    lease = Lease("one", 15, _TIME, _TIME, 0)

    first = await api.write_lease(lease, None)
    renewed = await api.write_lease(replace(lease, transitions=3), first)
    assert renewed.lease == replace(lease, transitions=3)
    with pytest.raises(ConflictError):
        await api.write_lease(replace(lease, holder="two"), first)
    released = await api.write_lease(None, renewed)

    assert released.lease is None
    assert await api.read_lease() == released


RULES: tuple[Rule, ...] = (
    a_secret_is_made_read_and_replaced_with_what_left_it,
    only_one_of_two_makes_the_secret,
    only_one_of_two_replaces_what_both_have_read,
    every_entry_gets_the_bundle_and_keeps_the_rest,
    a_bundle_is_not_applied_to_a_configuration_that_changed,
    an_entry_that_is_gone_is_not_made_again,
    a_lease_is_taken_renewed_and_given_back,
)
