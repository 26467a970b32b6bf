"""The one thread that touches the spool: all that waits becomes one transaction, answered when it is on the disk.

    event loop --append, settle, ask--> queue --> writer thread: BEGIN, everything that waits, COMMIT (fsync)
         ^------------------------- one wake-up for the whole group ---------------'

While one commit waits for the disk, the next group gathers; the group is as large as the disk is slow. The
write-ahead log is folded into the file by a second thread, so that no acknowledgement waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from floe_sidecar.checkpoints import Checkpointer
from floe_sidecar.duplicates import RecentDigests
from floe_sidecar.logs import log
from floe_sidecar.orders import (
    Append,
    Order,
    Question,
    Settle,
    ShareFullError,
    SpoolFullError,
    SpoolUnavailableError,
    Stop,
    Stored,
    size_of,
)
from floe_sidecar.records import DeadLetter, Level, Opening, Record
from floe_sidecar.spool import PAGE_BYTES, Spool

_T = TypeVar("_T")

_MOST_ORDERS = 512
_MOST_BYTES = 1024 * 1024
_REOPEN_SECONDS = 1.0
_FORGET_EVERY = 1024
_DEAD_SHARE = 4
"""Dead letters may fill one part in four of the spool's bound beside the queue; the oldest go first."""


class Writer:
    """The event loop's side of the spool. Its methods are called on the loop's thread and never wait."""

    def __init__(
        self,
        spool: Spool,
        *,
        max_bytes: int,
        duplicate_window_seconds: float,
        on_commit: Callable[[float, int], None] = lambda _seconds, _dropped: None,
        on_opening: Callable[[Opening], None] = lambda _opening: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.level = Level()
        self._spool = spool
        self._max_bytes = max_bytes
        self._window_seconds = duplicate_window_seconds
        self._recent = RecentDigests(duplicate_window_seconds)
        self._on_commit = on_commit
        self._on_opening = on_opening
        self._wall_clock = wall_clock
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._is_open = False
        self._failure = ""
        self._tried_at = float("-inf")
        self._unsettled: list[Settle] = []
        self._settled = 0
        self._checkpointer = Checkpointer(spool, max_bytes=max_bytes)
        self._thread = threading.Thread(target=self._work, name="spool-writer", daemon=True)

    async def start(self) -> None:
        """Opens the spool and starts the thread; a disk that does not take it now is tried again with each append."""
        self._thread.start()
        await self.ask(lambda spool: spool.events, or_else=0)

    def append(self, records: Sequence[Record]) -> asyncio.Future[Stored]:
        """Keeps events; the future is done when they are durable, or fails with one of this module's errors."""
        order = Append(records, self._loop.create_future())
        self._orders.put(order)
        return order.future

    def has_room(self, size: int) -> bool:
        """Whether events of so many bytes fit beside those that wait now."""
        return self.level.size + size <= self._max_bytes

    def settle(self, delivered: Sequence[int], dead: Sequence[tuple[DeadLetter, bytes]] = ()) -> None:
        """Takes events out; a dead letter comes with its digest, since it may be sent again by its owner."""
        self._orders.put(Settle(delivered, dead))

    async def ask(self, question: Callable[[Spool], _T], *, or_else: _T) -> _T:
        """What the spool answers after everything that was ordered before; `or_else` if it cannot be read now."""
        order = Question(question, self._loop.create_future())
        self._orders.put(order)
        answer = await order.future
        return or_else if answer is _UNREADABLE else answer

    def on_new_events(self, listener: Callable[[], None]) -> None:
        """Calls back on the loop after each commit that added events."""
        self._listeners.append(listener)

    def announce(self) -> None:
        """Tells the listeners that events were added, by a question."""
        for listener in self._listeners:
            listener()

    async def stop(self, *, within_seconds: float = 5.0) -> None:
        """Does what is still ordered, closes the file, ends the thread; does not wait longer for a disk that hangs."""
        self._orders.put(Stop())
        try:
            async with asyncio.timeout(within_seconds):
                await self._stopped.wait()
        except TimeoutError:
            log(logging.ERROR, "the spool's disk hangs; what was acknowledged is in its write-ahead log")
        else:
            self._thread.join()  # it has nothing left to do

    # What follows runs on the writer's thread.

    def _work(self) -> None:
        running = True
        while running:
            orders = self._gather()
            running = not any(isinstance(order, Stop) for order in orders)
            try:
                self._carry_out(orders)
            except Exception as error:  # the outermost edge of the loop: the thread outlives a defect of ours
                logging.getLogger("floe_sidecar").exception("the spool's writer failed")
                self._give_up(orders, error)
        self._checkpointer.stop()
        self._spool.close()
        self._loop.call_soon_threadsafe(self._stopped.set)

    def _give_up(self, orders: list[Order], error: Exception) -> None:
        """Answers everybody who waits, and begins again with a newly opened file."""
        self._unsettled += [order for order in orders if isinstance(order, Settle) and order not in self._unsettled]
        for order in orders:
            if isinstance(order, Append):
                self._forget(order.fresh)
        self._spool.close()
        self._is_open = False
        self._failure = type(error).__name__
        refused = SpoolUnavailableError(self._failure)
        answers: list[tuple[asyncio.Future[Any], Any]] = [
            (order.future, _UNREADABLE if isinstance(order, Question) else refused)
            for order in orders
            if isinstance(order, Append | Question)
        ]
        self._tell(answers, None, 0, stored=False)

    def _gather(self) -> list[Order]:
        orders = [self._orders.get()]
        size = size_of(orders[0])
        try:
            while len(orders) < _MOST_ORDERS and size < _MOST_BYTES:
                orders.append(self._orders.get_nowait())
                size += size_of(orders[-1])
        except queue.Empty:
            pass
        return orders

    def _carry_out(self, orders: list[Order]) -> None:
        appends = [order for order in orders if isinstance(order, Append)]
        settles = self._unsettled + [order for order in orders if isinstance(order, Settle)]
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        started = time.perf_counter()
        dropped = self._write(appends, settles, answers) if appends or settles or not self._is_open else 0
        seconds = time.perf_counter() - started
        answers.extend((order.future, self._answer(order)) for order in orders if isinstance(order, Question))
        stored = any(isinstance(answer, Stored) and answer.new for _, answer in answers)
        self._tell(answers, seconds if appends else None, dropped, stored=stored)

    def _write(self, appends: list[Append], settles: list[Settle], answers: list[tuple[Any, Any]]) -> int:
        """One transaction for everything; gives the number of dead letters that had to go."""
        try:
            self._make_open()
            fitting = self._choose(appends, answers)
            dropped = self._commit(fitting, settles)
        except (sqlite3.Error, OSError) as error:
            self._unsettled = settles
            reason = self._explain(error, appends)
            answered = {id(future) for future, _ in answers}
            for order in appends:
                self._forget(order.fresh)
                if id(order.future) not in answered:
                    answers.append((order.future, reason))
            return self._settle_alone() if appends and settles else 0
        self._unsettled = []
        if appends:
            self._works_again()
        answers.extend(
            (order.future, Stored(len(order.fresh), len(order.records) - len(order.fresh))) for order in fitting
        )
        return dropped

    def _choose(self, appends: list[Append], answers: list[tuple[Any, Any]]) -> list[Append]:
        """What fits into the bound; each order is kept whole or not at all."""
        now, size, fitting = self._wall_clock(), self._spool.size, []
        claimed: dict[str, int] = {}
        for order in appends:
            fresh = order.fresh = [record for record in order.records if self._is_new(record, now)]
            needed = sum(record.size for record in fresh)
            refusal = None
            if fresh and size + needed > self._max_bytes:
                refusal = SpoolFullError()
            elif not self._spool.shares.fits(fresh, claimed):
                refusal = ShareFullError()
            if refusal is not None:
                self._forget(fresh)
                order.fresh = ()
                answers.append((order.future, refusal))
            else:
                size += needed
                fitting.append(order)
        return fitting

    def _is_new(self, record: Record, now: float) -> bool:
        """Whether the event did not come before; from now on it did."""
        if self._recent.holds(record.digest, now):
            return False
        self._recent.add(record.digest, now)
        return True

    def _forget(self, records: Sequence[Record]) -> None:
        for record in records:
            self._recent.forget(record.digest)

    def _commit(self, appends: list[Append], settles: list[Settle]) -> int:
        delivered = [sequence for settle in settles for sequence in settle.delivered]
        dead = [letter for settle in settles for letter, _ in settle.dead]
        records = [record for order in appends for record in order.fresh]
        if not (records or delivered or dead):
            return 0
        dropped = 0
        self._spool.make_durable(durable=bool(records or dead))
        with self._spool.transaction():
            if records:
                self._spool.append(records)
            if delivered or dead:
                self._spool.settle(delivered, dead)
                self._settled += len(delivered)
            if dead:
                dropped = self._spool.drop_oldest_dead_letters(self._max_bytes // _DEAD_SHARE)
            if self._settled >= _FORGET_EVERY:
                self._spool.forget_delivered()
                self._settled = 0
        for settle in settles:
            for _, digest in settle.dead:
                self._recent.forget(digest)
        # What the log has grown by at most: an event's own pages and its place in two tables, an ended one's in three.
        pages = 4 + 2 * len(records) + 3 * (len(delivered) + len(dead))
        pages += sum(record.sign is not None for record in records)
        self._checkpointer.written(sum(record.size for record in records) + pages * PAGE_BYTES)
        return dropped

    def _make_open(self) -> None:
        if self._is_open:
            return
        now = time.monotonic()
        if now - self._tried_at < _REOPEN_SECONDS:
            raise OSError(self._failure)
        self._tried_at = now
        opening = self._spool.open()
        self._is_open = True
        self._works_again()
        since = self._wall_clock()
        for digest, moment in self._spool.digests(since - self._window_seconds):
            self._recent.add(digest, moment)
        self._loop.call_soon_threadsafe(self._opened, opening)

    def _explain(self, error: Exception, appends: list[Append]) -> Exception:
        """What the senders are told: that the spool has reached its bound, or that its disk fails."""
        size = sum(record.size for order in appends for record in order.fresh)
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            self._checkpointer.make_room()
            if size and self._spool.lacks_room(size):
                return SpoolFullError()
        self._failed(error)
        return SpoolUnavailableError(str(error))

    def _settle_alone(self) -> int:
        """Makes room when nothing can be added: what was delivered must go even then."""
        try:
            self._make_open()
            with self._spool.room_for_settling():
                dropped = self._commit([], self._unsettled)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return 0
        self._unsettled = []
        return dropped

    def _works_again(self) -> None:
        if self._failure:
            self._failure = ""
            log(logging.INFO, "the spool takes events again")

    def _failed(self, error: Exception) -> None:
        text = str(error)
        if text != self._failure:
            log(logging.ERROR, "the spool takes no events", reason=text)
        self._failure = text
        if self._is_open and "full" not in text:
            # A damaged file is found and replaced by opening it; a disk that failed may be back by then.
            self._spool.close()
            self._is_open = False
            if not isinstance(error, sqlite3.OperationalError | OSError):
                self._tried_at = float("-inf")

    def _answer(self, order: Question) -> object:
        try:
            self._make_open()
            return order.ask(self._spool)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return _UNREADABLE

    def _tell(self, answers: list[tuple[Any, Any]], seconds: float | None, dropped: int, *, stored: bool) -> None:
        level = self._spool.level(self._failure)
        self._loop.call_soon_threadsafe(self._told, answers, level, seconds, dropped, stored)

    # What follows runs on the event loop's thread again.

    def _told(
        self,
        answers: list[tuple[asyncio.Future[Any], Any]],
        level: Level,
        seconds: float | None,
        dropped: int,
        stored: bool,  # noqa: FBT001 - call_soon_threadsafe passes no keywords
    ) -> None:
        self.level = level
        if seconds is not None or dropped:
            self._on_commit(seconds or 0.0, dropped)
        for future, answer in answers:
            if future.done():  # its owner has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        if stored:
            self.announce()

    def _opened(self, opening: Opening) -> None:
        self._on_opening(opening)
        if opening.set_aside is not None:
            log(
                logging.ERROR,
                "the spool file was damaged and is set aside",
                file=str(opening.set_aside),
                recovered_events=opening.recovered,
            )


_UNREADABLE = object()
