"""A real Prometheus, Debian's; what it scrapes is found as its operator would have it found, by a ServiceMonitor.

Debian builds it without the discovery of Kubernetes: a thread writes the endpoints of the selected Services into a file
that it follows. The package is unpacked into the cache, not installed: an installation would start a server.
"""

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from tests.e2e.cluster.binaries import MissingToolError, cache_folder
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.commands import CommandError, run
from tests.e2e.cluster.locking import locked
from tests.e2e.cluster.processes import LOOPBACK, free_port, running
from tests.e2e.cluster.progress import say

_POLL_SECONDS = 0.2
_PACKAGE = "prometheus"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that is ready."""

    query: httpx.Client

    def values(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """What an expression is now: the labels and the value of each series."""
        answer = self.query.get("/api/v1/query", params={"query": expression}).raise_for_status().json()
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def wait_for(self, expression: str, timeout_seconds: float = 60.0) -> list[tuple[Mapping[str, str], float]]:
        """The series of an expression as soon as there are any, e.g. of a comparison.

        Raises:
            TimeoutError: There were none in time; the message has what is scraped.
        """
        deadline = time.monotonic() + timeout_seconds
        while not (found := self.values(expression)):
            if time.monotonic() > deadline:
                scraped = {labels.get("pod", ""): value for labels, value in self.values("up")}
                raise TimeoutError(f"{expression!r} has no value after {timeout_seconds:g} s; up: {scraped}")
            time.sleep(_POLL_SECONDS)
        return found

    def firing(self, timeout_seconds: float, **labels: str) -> Mapping[str, str]:
        """The labels of an alert that fires and has these; waits for it.

        Raises:
            TimeoutError: None fires in time.
        """
        matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
        (found, _), *_others = self.wait_for(f'ALERTS{{alertstate="firing",{matchers}}}', timeout_seconds)
        return found


@contextmanager
def prometheus(folder: Path, kubeconfig: Path, monitor: Manifest, rules: Manifest) -> Iterator[Prometheus]:
    """A Prometheus on the loopback address; its log and its data go into the folder.

    Args:
        folder: For it alone.
        kubeconfig: With which what to scrape is looked for.
        monitor: A ServiceMonitor.
        rules: A PrometheusRule, evaluated every second.
    """
    yaml = YAML(typ="safe", pure=True)
    rules_file, configuration = folder / "rules.yaml", folder / "prometheus.yaml"
    with rules_file.open("w") as file:
        yaml.dump(rules["spec"], file)
    document = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(rules_file)],
        "scrape_configs": list(_scrape_configs(monitor, folder)),
    }
    with configuration.open("w") as file:
        yaml.dump(document, file)
    programs = ensure_prometheus()
    run([str(programs / "promtool"), "check", "config", str(configuration)])
    port = free_port()
    command = [
        str(programs / "prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with (
        _discovery(folder, kubeconfig, monitor),
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=10.0) as client,
        running("prometheus", command, log=folder / "prometheus.log", environment=environment) as process,
    ):
        process.wait_until(lambda: _is_ready(client), "ready")
        yield Prometheus(client)


def ensure_prometheus() -> Path:
    """The folder with the programs; the first call fetches Debian's package.

    Raises:
        MissingToolError: There is neither a Prometheus on PATH nor a package.
    """
    if shutil.which("prometheus") and (promtool := shutil.which("promtool")):
        return Path(promtool).parent
    result = cache_folder() / "prometheus"
    result.parent.mkdir(parents=True, exist_ok=True)
    with locked(result.parent / "prometheus.lock", "Prometheus"):
        if not result.is_dir():
            _fetch_into(result)
    return result / "usr" / "bin"


def _fetch_into(result: Path) -> None:
    say(f"fetching Debian's package {_PACKAGE} (once; cached in {result.parent}) …")
    with tempfile.TemporaryDirectory(prefix=".prometheus-", dir=result.parent) as work:
        try:
            run(["apt-get", "download", "-q", _PACKAGE], folder=Path(work), timeout_seconds=300.0)
            (package,) = Path(work).glob("*.deb")
            run(["dpkg-deb", "--extract", str(package), str(Path(work) / "root")])
        except (CommandError, OSError) as error:
            raise MissingToolError(
                f"Debian's package {_PACKAGE} cannot be had ({error}); install Prometheus, with `prometheus` and "
                "`promtool` on PATH."
            ) from None
        (Path(work) / "root").rename(result)


def _scrape_configs(monitor: Manifest, folder: Path) -> Iterator[dict[str, Any]]:
    """One for each endpoint of the ServiceMonitor."""
    for endpoint in monitor["spec"]["endpoints"]:
        yield {
            "job_name": endpoint["port"],
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "metrics_path": endpoint["path"],
            "file_sd_configs": [{"files": [str(folder / f"targets-{endpoint['port']}.json")]}],
        }


@contextmanager
def _discovery(folder: Path, kubeconfig: Path, monitor: Manifest) -> Iterator[None]:
    """Keeps the files with targets up to date."""
    is_over = threading.Event()

    def follow(client: KubernetesClient) -> None:
        written: dict[Path, str] = {}
        while not is_over.is_set():
            for endpoint in monitor["spec"]["endpoints"]:
                file = folder / f"targets-{endpoint['port']}.json"
                text = json.dumps(_targets(client, monitor, endpoint["port"]))
                if written.get(file) != text:
                    new = file.with_suffix(".new")
                    new.write_text(text)
                    new.replace(file)
                    written[file] = text
            is_over.wait(_POLL_SECONDS)

    with KubernetesClient.from_kubeconfig(kubeconfig) as client, ThreadPoolExecutor(1) as threads:
        following = threads.submit(follow, client)
        try:
            yield
        finally:
            is_over.set()
            following.result()


def _targets(client: KubernetesClient, monitor: Manifest, port_name: str) -> list[dict[str, Any]]:
    """As the operator's configuration has them: every address of a selected Service, ready or not, with job and pod."""
    home = monitor["metadata"]["namespace"]
    services = {
        one["metadata"]["name"]
        for one in client.every("v1", "Service")
        if one["metadata"]["namespace"] == home and _is_selected(one, monitor["spec"]["selector"])
    }
    found = []
    for one in client.every("discovery.k8s.io/v1", "EndpointSlice"):
        service = one["metadata"].get("labels", {}).get("kubernetes.io/service-name")
        if one["metadata"]["namespace"] != home or service not in services:
            continue
        for port in one.get("ports") or []:
            if port["name"] == port_name:
                found += [_target(endpoint, port["port"], service) for endpoint in one["endpoints"] or []]
    return sorted(found, key=json.dumps)


def _is_selected(service: Manifest, selector: Manifest) -> bool:
    labels = service["metadata"].get("labels", {})
    return bool(selector.get("matchLabels", {}).items() <= labels.items()) and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def _target(endpoint: Manifest, port: int, service: str) -> dict[str, Any]:
    pod = endpoint.get("targetRef", {}).get("name", "")
    return {"targets": [f"{endpoint['addresses'][0]}:{port}"], "labels": {"job": service, "pod": pod}}


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready", timeout=2.0).is_success
    except httpx.TransportError:
        return False
