"""pyiceberg's clients, lent to one thread at a time: its session is not safe while a token is renewed.

    call ── an idle client, or a new one ── works ────────────────────── kept for the next
                                         ├─ credential refused ─┐
                                         ├─ connection broke ───┴ all are forgotten, once more with a new one
                                         └─ anything else ────── told

A client that has just been built is not tried twice, unless its token was older than itself. A long-lived monitor thus
survives an expired or revoked token and a catalog that was restarted, and its threads never share a session. No more
clients exist than threads call.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from pyiceberg.catalog import Catalog

from floe_catalog_iceberg.failures import ConnectionLostError, CredentialRefusedError, Failures
from floe_core.errors import ConnectionError as FloeConnectionError

_T = TypeVar("_T")


class Clients:
    """Clients of one catalog, for any number of threads.

    Args:
        where: The catalog's name in errors, e.g. `the catalog at lake.example.com`.
        build: Connects a client; may raise what `failures` tells.
        renew: Forgets a token that was refused, and says whether there will be another.
    """

    def __init__(
        self, where: str, build: Callable[[], Catalog], failures: Failures, renew: Callable[[], bool] = lambda: False
    ) -> None:
        self._where = where
        self._build = build
        self._failures = failures
        self._renew = renew
        self._lock = threading.Lock()
        self._idle: list[Catalog] = []
        self._generation = 0

    def ready(self) -> None:
        """Connects, unless a client that has worked is there.

        Raises:
            floe_core.errors.ConnectionError: The catalog cannot be reached or refuses the credential.
        """
        with self._lock:
            if self._idle:
                return
        self.call("connecting", lambda _: None)

    def call(self, subject: str, action: Callable[[Catalog], _T], *, repeatable: bool = True) -> _T:
        """What the action returns.

        Args:
            subject: What is asked for, e.g. `table sales.orders`; for errors.
            action: One or several calls of a client's.
            repeatable: Whether it may run again when the connection broke in the middle.

        Raises:
            floe_core.errors.ValidationError: There is no such thing.
            floe_core.errors.ConnectionError: The catalog cannot be reached, refuses us, or is not understood.
            floe_core.errors.ExecutionError: It refuses what is asked.
        """
        with self._lock:
            client = self._idle.pop() if self._idle else None
            generation = self._generation
        is_new = client is None
        try:
            return self._run(client, generation, subject, action)
        except CredentialRefusedError:
            # A new client can have been given an old token.
            if not self._forget(generation) and is_new:
                raise
        except ConnectionLostError:
            if is_new:
                raise
            self._forget(generation)
            if not repeatable:
                raise
        return self._run(None, self._generation, subject, action)

    def close(self) -> None:
        """Closes all clients that are not in use; those in use are closed when they come back."""
        self._forget(self._generation)

    def _run(self, client: Catalog | None, generation: int, subject: str, action: Callable[[Catalog], _T]) -> _T:
        works = False
        try:
            client = self._build() if client is None else client
            answer = action(client)
            works = True
        except self._failures.kinds as error:
            told = self._failures.tell(error, self._where, subject)
            works = client is not None and not isinstance(told, FloeConnectionError)
            # The original repeats the catalog's text, which may hold a token.
            raise told from None
        finally:
            self._give_back(client, generation, works=works)
        return answer

    def _give_back(self, client: Catalog | None, generation: int, *, works: bool) -> None:
        if client is None:
            return
        with self._lock:
            kept = works and generation == self._generation
            if kept:
                self._idle.append(client)
        if not kept:
            client.close()

    def _forget(self, generation: int) -> bool:
        """Drops all clients of a generation; of many threads that find a token refused, the first does it.

        Returns:
            Whether there will be another token.
        """
        with self._lock:
            if generation != self._generation:
                return True
            self._generation += 1
            dropped, self._idle = self._idle, []
            renewed = self._renew()
        for client in dropped:
            client.close()
        return renewed
