"""What a source has waiting is known to the byte, whatever is added, settled, rolled back or opened again."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from floe_sidecar.events import digest
from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.shares import Shares, of_source
from floe_sidecar.spool import Spool

pytestmark = pytest.mark.requirement("RELAY-5")

SOURCES = st.sampled_from(["sales", "finance", "a-third"])


def record(source: str, number: int, size: int) -> Record:
    body = number.to_bytes(4) + b"x" * size
    return Record(of_source(source, f"run/{number % 3}"), digest(body), body)


class Filling(RuleBasedStateMachine):
    """A spool with shares, beside a plain sum of what waits in it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._waiting: dict[int, tuple[str, int]] = {}
        self._number = 0
        self._open()

    def _open(self) -> None:
        self._spool = Spool(Path(self._folder.name), share_max_bytes=1 << 30)
        self._spool.open()
        self._spool.make_durable(durable=False)

    def _append(self, sources: list[str], size: int) -> dict[int, tuple[str, int]]:
        records = [record(source, self._number + offset, size) for offset, source in enumerate(sources)]
        first = self._spool._next
        self._spool.append(records)
        self._number += len(records)
        return {first + n: (sources[n], one.size) for n, one in enumerate(records)}

    @rule(sources=st.lists(SOURCES, min_size=1, max_size=40), size=st.integers(0, 300))
    def add(self, sources: list[str], size: int) -> None:
        with self._spool.transaction():
            added = self._append(sources, size)
        self._waiting.update(added)

    @rule(sources=st.lists(SOURCES, min_size=1, max_size=5))
    def fail_to_add(self, sources: list[str]) -> None:
        with suppress(sqlite3.IntegrityError), self._spool.transaction():
            self._append(sources, 10)
            raise sqlite3.IntegrityError

    @rule(share=st.floats(0, 1), dead=st.booleans())
    def settle(self, share: float, dead: bool) -> None:
        chosen = sorted(self._waiting)[: int(len(self._waiting) * share)]
        with self._spool.transaction():
            self._spool.settle([] if dead else chosen, [DeadLetter(one, "x", "") for one in chosen] if dead else [])
        for sequence in chosen:
            del self._waiting[sequence]

    @rule()
    def open_again(self) -> None:
        self._spool.close()
        self._open()

    @invariant()
    def every_source_has_what_waits_of_it(self) -> None:
        expected: dict[str, int] = {}
        for source, size in self._waiting.values():
            expected[source] = expected.get(source, 0) + size
        assert self._spool.shares.sizes == expected

    def teardown(self) -> None:
        self._spool.close()
        self._folder.cleanup()


TestFilling = Filling.TestCase
TestFilling.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)


def test_orders_of_one_group_claim_their_room_one_after_another() -> None:
    shares, claimed = Shares(1000), dict[str, int]()
    fits = [shares.fits([record("sales", number, 300)], claimed) for number in range(4)]
    assert fits == [True, True, False, False]
    assert shares.fits([record("finance", 9, 300)], claimed)


def test_a_sidecar_has_no_shares_and_counts_nothing() -> None:
    shares = Shares(None)
    shares.add([record("sales", 1, 10**6)])
    assert shares.fits([record("sales", 2, 10**6)], {})
    assert shares.sizes == {}
