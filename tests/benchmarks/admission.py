"""Admission: in process over a matrix of pods, and over TLS beside a bare server of the same stack.

`python -m tests.benchmarks.admission` runs it alone.
"""

import gc
import ipaddress
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psutil
from ruamel.yaml import YAML

from floe_certs.authority import create_authority, issue_serving_certificate
from floe_webhook.admission import decode, encode, review
from floe_webhook.profile import Profile
from floe_webhook.reload import read_profile
from tests.benchmarks.admission_load import send
from tests.benchmarks.report import Table, percentile

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "examples" / "manifest.yaml"
CONTAINERS = (1, 10, 100)
VARIABLES = (5, 40)
CONNECTIONS = (1, 16, 64)
OVER_TLS = ((1, 5), (20, 40))
UNKNOWN_BYTES = 16 * 1024
_START_SECONDS = 20.0
_WARM_UP = 10
_IN_A_ROUND = 20
NAMESPACES = (100, 1_000, 5_000)
MORE_ENTRIES = 1_000


def measure(quick: bool) -> list[Table]:
    """Four tables: in process, growth, manifest entries and namespaces, over TLS."""
    return [
        _in_process(repeats=30 if quick else 400),
        _growth(repeats=10 if quick else 60),
        _by_entries_and_namespaces(rounds=20 if quick else 200),
        _over_tls(quick=quick),
    ]


def admission_review(
    containers: int, variables: int, *, unknown_bytes: int = 0, namespace: str = "sales", workload: str = "load"
) -> bytes:
    """The review of an opted-in pod, with fields that no version of ours knows."""
    env = [{"name": f"SETTING_{number}", "value": f"value of setting {number}"} for number in range(variables)]
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{workload}-29391840-",
            "labels": {"floe.dev/inject": "enabled", "app.kubernetes.io/name": workload},
            "ownerReferences": [{"kind": "Job", "name": f"{workload}-29391840", "uid": "1", "controller": True}],
        },
        "spec": {
            "containers": [
                {"name": f"c{number}", "image": f"registry.example.com/team/app-{number}:1.2.3", "env": env}
                for number in range(containers)
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
    if unknown_bytes:
        pod["spec"]["fieldOfTomorrow"] = {f"key{n}": {"nested": ["x" * 50] * 2} for n in range(unknown_bytes // 128)}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": namespace,
        "operation": "CREATE",
        "object": pod,
    }
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def _milliseconds(body: bytes, repeats: int) -> tuple[list[float], int, int]:
    """How long each of the repeats took; bytes of the answer and operations in it."""
    profile = read_profile(MANIFEST)
    # As the service does once it is loaded (floe_webhook.service).
    gc.collect()
    gc.freeze()
    taken: list[float] = []
    answer, operations = b"", 0
    for number in range(-_WARM_UP, repeats):
        started = time.perf_counter()
        admitted = decode(body)
        injection = review(admitted, profile, namespace_label="enabled")
        answer = encode(admitted.uid, injection)
        if number >= 0:
            taken.append((time.perf_counter() - started) * 1000)
        operations = len(injection.operations)
    gc.unfreeze()
    return taken, len(answer), operations


def _in_process(*, repeats: int) -> Table:
    rows = []
    for containers in CONTAINERS:
        for variables in VARIABLES:
            for unknown in (0, UNKNOWN_BYTES):
                body = admission_review(containers, variables, unknown_bytes=unknown)
                taken, answer, operations = _milliseconds(body, max(repeats // max(containers // 10, 1), 20))
                rows.append(
                    (
                        f"{containers} × {variables}{' + 16 KiB unknown' if unknown else ''}",
                        f"{percentile(taken, 0.5):.3f}",
                        f"{percentile(taken, 0.99):.3f}",
                        f"{len(body):,}",
                        f"{answer:,}",
                        str(operations),
                    )
                )
    return Table(
        "Admission in process",
        ("containers × variables", "p50 ms", "p99 ms", "bytes in", "bytes out", "operations"),
        tuple(rows),
        ("From the request's bytes to the answer's. Budget: p99 below 0.5 ms (1 container), below 15 ms (100 × 40).",),
    )


def _growth(*, repeats: int) -> Table:
    medians = [percentile(_milliseconds(admission_review(1, count), repeats)[0], 0.5) for count in (1000, 2000)]
    return Table(
        "Growth with the number of variables",
        ("t(1000 variables) ms", "t(2000 variables) ms", "t(2000) / t(1000)"),
        ((f"{medians[0]:.3f}", f"{medians[1]:.3f}", f"{medians[1] / medians[0]:.2f}"),),
        ("Medians of one container. Budget: at most 2.2.",),
    )


def _by_entries_and_namespaces(*, rounds: int) -> Table:
    """The same pod again and again, by manifests of different length and in different numbers of namespaces."""
    with tempfile.TemporaryDirectory() as name:
        plain, long = read_profile(MANIFEST), read_profile(_long_manifest(Path(name)))
    one = [admission_review(1, 5)]
    cases: dict[str, tuple[Profile, list[bytes]]] = {
        "1 namespace, the example manifest": (plain, one),
        f"1 namespace, {MORE_ENTRIES} entries more in the manifest": (long, one),
        **{
            f"{count:,} namespaces with a workload each": (
                plain,
                [admission_review(1, 5, namespace=f"team-{number}") for number in range(count)],
            )
            for count in NAMESPACES
        },
    }
    taken: dict[str, list[float]] = {case: [] for case in cases}
    # In turns, so that what else the machine does meets all of them alike.
    for number in range(-_WARM_UP, rounds):
        for case, (profile, bodies) in cases.items():
            seconds = _seconds_of(profile, bodies, first=number * _IN_A_ROUND)
            if number >= 0:
                taken[case].append(seconds / _IN_A_ROUND * 1000)
    return Table(
        "Admission in process, by manifest entries and namespaces",
        ("case", "ms, median of rounds"),
        tuple((case, f"{percentile(rounds_taken, 0.5):.3f}") for case, rounds_taken in taken.items()),
        (_CASES_NOTE,),
    )


_CASES_NOTE = f"""Rounds of {_IN_A_ROUND} admissions of 1 × 5, in turns. What is made once for a workload is kept for
the last 512 of them: where more take turns, each pod costs as much as the first one of its workload, however many there
are."""


def _seconds_of(profile: Profile, bodies: Sequence[bytes], *, first: int) -> float:
    started = time.perf_counter()
    for number in range(first, first + _IN_A_ROUND):
        admitted = decode(bodies[number % len(bodies)])
        encode(admitted.uid, review(admitted, profile, namespace_label="enabled"))
    return time.perf_counter() - started


def _long_manifest(folder: Path) -> Path:
    """The example with as many more credentials and names of containers."""
    names = [f"ENTRY_{number}" for number in range(MORE_ENTRIES)]
    document = YAML(typ="safe").load(MANIFEST)
    document.setdefault("credentials", {}).update(
        {name: {"secret": name.lower().replace("_", "-"), "key": "token"} for name in names}
    )
    document["injection"].setdefault("containers", {})["exclude"] = [name.lower().replace("_", "-") for name in names]
    found = folder / "floe.yaml"
    found.write_bytes(orjson.dumps(document))
    return found


def _over_tls(*, quick: bool) -> Table:
    seconds = 0.5 if quick else 4.0
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_certificates(folder)
        with running_server(folder, "webhook") as webhook, running_server(folder, "echo") as echo:
            idle = resident_mib(webhook[0])
            highest = idle
            for containers, variables in OVER_TLS:
                body = folder / "body.json"
                body.write_bytes(admission_review(containers, variables))
                for connections in CONNECTIONS:
                    cells = [f"{containers} × {variables}", str(connections)]
                    for process, port in (webhook, echo):
                        cells += _sent(process, port, folder, body, connections=connections, seconds=seconds)
                        highest = max(highest, resident_mib(webhook[0]))
                    rows.append(tuple(cells))
    return Table(
        "Admission over TLS with keep-alive, one process",
        _TLS_COLUMNS,
        tuple(rows),
        (_TLS_NOTE, _memory(idle, highest)),
    )


_TLS_COLUMNS = (
    *("containers × variables", "connections", "answers/s", "p50 ms", "p99 ms", "CPU s per 1 000"),
    *("bare server: answers/s", "p50 ms", "p99 ms", "CPU s per 1 000"),
)
_TLS_NOTE = """The bare server decodes the review and allows it: aiohttp, uvloop, orjson, TLS, and nothing else.
The two take turns; the sender runs beside them on the same cores. Budget at 16 connections: 1 × 5 at least 8 000 a
second, p99 below 4 ms, at most 0.12 CPU s per 1 000; 20 × 40 at least 1 800 a second, at most 0.6 CPU s per 1 000."""


def _memory(idle: float, highest: float) -> str:
    return f"The webhook's resident memory: {idle:.0f} MiB idle, {highest:.0f} MiB under load. Budget: 90 and 110."


def _sent(
    process: psutil.Process, port: int, folder: Path, body: Path, *, connections: int, seconds: float
) -> list[str]:
    before = process.cpu_times()
    seen = send(port, folder / "ca.crt", body, connections=connections, seconds=seconds)
    after = process.cpu_times()
    if seen.failed:
        raise RuntimeError(f"{seen.failed} requests failed")
    spent = (after.user + after.system) - (before.user + before.system)
    return [
        f"{seen.per_second:,.0f}",
        f"{seen.p50_ms:.2f}",
        f"{seen.p99_ms:.2f}",
        f"{spent / seen.answers * 1000:.3f}",
    ]


def write_certificates(folder: Path) -> None:
    """`tls.crt` and `tls.key` of a server on 127.0.0.1, and `ca.crt`, which signed them."""
    now = datetime.now(UTC)
    authority = create_authority("floe benchmark", now=now)
    serving = issue_serving_certificate(authority, ip_addresses=[ipaddress.ip_address("127.0.0.1")], now=now)
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    (folder / "tls.crt").write_bytes(serving.certificate_pem)
    (folder / "tls.key").write_bytes(serving.key_pem)


@contextmanager
def running_server(folder: Path, which: str) -> Iterator[tuple[psutil.Process, int]]:
    """A running server and its port."""
    port_file = folder / f"{which}.port"
    certificate, key = folder / "tls.crt", folder / "tls.key"
    echo = ("tests.benchmarks.admission_load", "echo", certificate, key, port_file)
    webhook = ("floe_webhook", "--manifest", MANIFEST, "--tls-cert", certificate, "--tls-key", key)
    quiet = ("--port", 0, "--health-port", 0, "--port-file", port_file, "--log-level", "warning")
    command: Sequence[object] = (sys.executable, "-m", *(echo if which == "echo" else (*webhook, *quiet)))
    with subprocess.Popen([str(part) for part in command], cwd=ROOT) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not (port_file.exists() and port_file.read_text().strip()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the {which} server did not start")
                time.sleep(0.02)
            yield psutil.Process(process.pid), int(port_file.read_text())
        finally:
            process.terminate()


def resident_mib(process: psutil.Process) -> float:
    """What a process takes of memory now."""
    return float(process.memory_info().rss) / 1024 / 1024


if __name__ == "__main__":
    for table in measure(quick="--quick" in sys.argv):
        sys.stdout.write(table.markdown() + "\n")
