"""Sends reviews that are made and spoiled at random to the webhook program, over TLS, and judges each answer.

`python -m tests.fuzz --count 100000 --start 1000000` prints what it saw; exit code 1 if an answer was wrong. A number
that is printed as a finding gives the same body again: `tests.fuzz.reviews.body_of(NUMBER)`. With `--guided` see
`tests.fuzz.guided`.
"""

import argparse
import asyncio
import importlib.util
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from tests.benchmarks.admission import resident_mib, running_server, write_certificates
from tests.fuzz.guided import fuzz_guided
from tests.fuzz.reviews import Finding, body_of, numbers, objection

_AT_ONCE = 16
_JSON = {"content-type": "application/json"}


@dataclass(slots=True)
class Seen:
    """What came of it so far."""

    answers: int = 0
    patched: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)


def fuzz(count: int, start: int) -> Seen:
    """Sends so many reviews to a webhook of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_certificates(folder)
        with running_server(folder, "webhook") as (process, port):
            trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
            seen = asyncio.run(_send_all(count, start, f"https://127.0.0.1:{port}", trust, process))
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                seen.findings.append(Finding(-1, "the webhook has ended"))
            return seen


async def _send_all(count: int, start: int, url: str, trust: ssl.SSLContext, process: psutil.Process) -> Seen:
    seen, waiting = Seen(), numbers(count, start)
    every = max(1, count // 10)
    connector = aiohttp.TCPConnector(ssl=trust, limit=_AT_ONCE)
    limit = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(url, connector=connector, timeout=limit) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(_AT_ONCE):
            group.create_task(_send_some(client, waiting, seen, process, every))
    return seen


async def _send_some(
    client: aiohttp.ClientSession, waiting: Iterator[int], seen: Seen, process: psutil.Process, every: int
) -> None:
    for number in waiting:
        uid, body = body_of(number)
        path = "/mutate" if number % 2 else "/mutate/pod"
        try:
            async with client.post(path, data=body, headers=_JSON) as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.findings.append(Finding(number, f"no answer: {type(error).__name__}"))
            continue
        seen.answers += 1
        seen.statuses[status] += 1
        seen.patched += b'"patch":' in answer
        if (what := objection(uid, body, status, answer)) is not None:
            seen.findings.append(Finding(number, what))
        if seen.answers % every == 0:
            seen.resident_mib.append(resident_mib(process))
            sys.stderr.write(f"{seen.answers:,} answers, {len(seen.findings)} wrong\n")


def main() -> int:
    """Prints the figures; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many reviews (default 10000)")
    parser.add_argument("--guided", action="store_true", help="the handler alone, by what bodies reach; needs atheris")
    parser.add_argument("--keep", action="store_true", help="with --guided: adds to tests/fuzz/seeds what reached more")
    parser.add_argument("--start", type=int, default=1_000_000, help="number of the first one after the seeds")
    arguments = parser.parse_args()
    if arguments.guided:
        if importlib.util.find_spec("atheris") is None:
            parser.error("--guided needs atheris: pip install atheris")
        return fuzz_guided(arguments.count, keep=arguments.keep)
    began = time.monotonic()
    seen = fuzz(arguments.count, arguments.start)
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    memory = ", ".join(f"{mib:.0f}" for mib in seen.resident_mib)
    sys.stdout.write(
        f"{seen.answers:,} answers in {time.monotonic() - began:.0f} s ({statuses}), {seen.patched:,} with a patch, "
        f"{len(seen.findings)} wrong; resident MiB after each tenth: {memory}\n"
    )
    for finding in seen.findings[:20]:
        sys.stdout.write(f"  {finding.number}: {finding.what}\n")
    return 1 if seen.findings else 0


if __name__ == "__main__":
    sys.exit(main())
