"""A real OpenTelemetry Collector: judges a configuration, and runs it.

Configurations are laid over each other by the Collector itself, later ones over earlier ones (maps are merged, lists
replaced), as the opentelemetry-collector chart lays `config` over its defaults. `chart_defaults` are the chart's.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.processes import LOOPBACK, RunningProcess, free_port, running

Config = Mapping[str, Any]


class CollectorConfigError(Exception):
    """The Collector refuses a configuration; the message is its own."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a Collector of the tests listens."""

    grpc_port: int
    http_port: int
    health_port: int
    host: str = LOOPBACK

    @classmethod
    def free(cls, host: str = LOOPBACK) -> "Addresses":
        """Ports that nobody listens on now."""
        return cls(free_port(), free_port(), free_port(), host)

    def overlay(self) -> dict[str, Any]:
        """The configuration that makes a Collector listen there and nowhere else."""
        return {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": f"{self.host}:{self.grpc_port}"},
                        "http": {"endpoint": f"{self.host}:{self.http_port}"},
                    }
                }
            },
            "extensions": {"health_check": {"endpoint": f"{LOOPBACK}:{self.health_port}"}},
            "service": {"telemetry": {"metrics": {"level": "none"}}},
        }


@dataclass(frozen=True, slots=True)
class Collector:
    """A Collector that is ready."""

    addresses: Addresses
    process: RunningProcess

    @property
    def grpc_address(self) -> str:
        """host:port of its OTLP/gRPC receiver."""
        return f"{self.addresses.host}:{self.addresses.grpc_port}"

    @property
    def http_url(self) -> str:
        """Base URL of its OTLP/HTTP receiver."""
        return f"http://{self.addresses.host}:{self.addresses.http_port}"


def chart_defaults() -> dict[str, Any]:
    """What the opentelemetry-collector chart configures by default, as far as this Collector has the parts."""
    return {
        "extensions": {"health_check": {"endpoint": "${env:MY_POD_IP}:13133"}},
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": "${env:MY_POD_IP}:4317"},
                    "http": {"endpoint": "${env:MY_POD_IP}:4318"},
                }
            }
        },
        "processors": {
            "batch": {},
            "memory_limiter": {"check_interval": "5s", "limit_percentage": 80, "spike_limit_percentage": 25},
        },
        "exporters": {"debug": {}},
        "service": {
            "extensions": ["health_check"],
            "pipelines": {
                signal: {"receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": ["debug"]}
                for signal in ("traces", "metrics", "logs")
            },
        },
    }


def validate(configs: Sequence[Config], folder: Path, environment: Mapping[str, str]) -> None:
    """Has `otelcol validate` judge a configuration.

    Raises:
        CollectorConfigError: It is refused.
    """
    arguments = _config_arguments(configs, folder)
    ran = subprocess.run(
        [program("otelcol"), "validate", *arguments],
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    if ran.returncode != 0:
        raise CollectorConfigError(ran.stderr.strip() or ran.stdout.strip())


@contextmanager
def collector(
    configs: Sequence[Config], folder: Path, environment: Mapping[str, str], *, host: str = LOOPBACK
) -> Iterator[Collector]:
    """A Collector that runs a configuration on free ports, and is healthy.

    Args:
        configs: Laid over each other in this order.
        folder: Takes the configuration and the log.
        environment: What `${env:NAME}` resolves to.
        host: Where its receivers listen.
    """
    addresses = Addresses.free(host)
    command = [str(program("otelcol")), *_config_arguments([*configs, addresses.overlay()], folder)]
    log = folder / "otelcol.log"
    with running("otelcol", command, log=log, environment=_environment(environment)) as process:
        process.wait_until(lambda: _is_healthy(addresses.health_port), "healthy")
        yield Collector(addresses, process)


def _config_arguments(configs: Sequence[Config], folder: Path) -> list[str]:
    arguments = []
    for index, config in enumerate(configs):
        path = folder / f"otelcol-{index}.yaml"
        path.write_text(json.dumps(config, indent=2))  # JSON is YAML
        arguments += ["--config", str(path)]
    return arguments


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the machine's but PATH: a proxy or a stray OTEL_ variable must not change what is judged."""
    return {"PATH": os.environ.get("PATH", ""), "MY_POD_IP": LOOPBACK, **own}


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
