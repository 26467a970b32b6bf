"""A real Jaeger, all in one: takes spans over OTLP, keeps them in memory, and answers what it has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.processes import LOOPBACK, free_port, running

_POLL_SECONDS = 0.2
_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A Jaeger that is ready.

    Attributes:
        grpc_address: host:port of its OTLP/gRPC receiver.
        query: Its query API.
    """

    grpc_address: str
    query: httpx.Client

    def traces(self, service: str, *, operation: str = "", timeout_seconds: float = 30.0) -> list[dict[str, Any]]:
        """The traces of a service, or those with a span of one name; waits for the first.

        Raises:
            TimeoutError: None came in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not (found := self._traces(service, operation)):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"Jaeger has no trace of {service!r} after {timeout_seconds:g} s; it knows {self.services()}"
                )
            time.sleep(_POLL_SECONDS)
        return found

    def services(self) -> list[str]:
        """The services that have sent spans."""
        return sorted(self._get("/api/services") or [])

    def everything(self) -> list[dict[str, Any]]:
        """Every trace of every service."""
        return [trace for service in self.services() for trace in self._traces(service)]

    def _traces(self, service: str, operation: str = "") -> list[dict[str, Any]]:
        named = {"operation": operation} if operation else {}
        return self._get("/api/traces", service=service, limit=str(_LIMIT), **named) or []

    def _get(self, path: str, **parameters: str) -> list[Any] | None:
        data: list[Any] | None = self.query.get(path, params=parameters).raise_for_status().json()["data"]
        return data


def tags(holder: dict[str, Any]) -> dict[str, Any]:
    """The tags of a span or of a process as Jaeger answers them: by name."""
    return {tag["key"]: tag["value"] for tag in holder["tags"]}


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    """A Jaeger on the loopback address; its log goes into the folder."""
    query, otlp, admin = free_port(), free_port(), free_port()
    command = [
        str(program("all-in-one")),
        f"--collector.otlp.grpc.host-port={LOOPBACK}:{otlp}",
        f"--query.http-server.host-port={LOOPBACK}:{query}",
        f"--admin.http.host-port={LOOPBACK}:{admin}",
        # What nobody asks here listens on the loopback address, too.
        f"--collector.otlp.http.host-port={LOOPBACK}:{free_port()}",
        f"--collector.grpc-server.host-port={LOOPBACK}:{free_port()}",
        f"--collector.http-server.host-port={LOOPBACK}:{free_port()}",
        f"--query.grpc-server.host-port={LOOPBACK}:{free_port()}",
        "--log-level=warn",
    ]
    environment = {"SPAN_STORAGE_TYPE": "memory", "OTEL_TRACES_SAMPLER": "always_off"}  # nobody takes its own spans
    with (
        httpx.Client(base_url=f"http://{LOOPBACK}:{query}", trust_env=False, timeout=10.0) as client,
        running("jaeger", command, log=folder / "jaeger.log", environment=environment) as process,
    ):
        process.wait_until(lambda: _is_healthy(admin), "healthy")
        yield Jaeger(f"{LOOPBACK}:{otlp}", client)


def _is_healthy(admin_port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{admin_port}/", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
