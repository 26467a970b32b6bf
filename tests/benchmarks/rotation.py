"""Certificates that rotate every minute under admissions, on a real API server.

`python -m tests.benchmarks.rotation [--seconds 600] [--per-second 200]`, by hand: ten minutes are too long for
`make bench`. It starts an API server of its own and two replicas of the webhook behind a switch of connections.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import Table, percentile
from tests.e2e.cluster.control_plane import Cluster, cluster
from tests.e2e.webhook_load import Load, in_force, replicas, steps, under
from tests.e2e.webhook_release import release, two_namespaces
from webhook.tests.serving.switch import switch
from webhook.tests.waiting import until

WORKERS = 16
# A certificate is renewed at 40 s of its life; an authority is replaced at 60 s of its.
LIVES = ("--serving-lifetime", "60s", "--authority-lifetime", "90s", "--trust-settle", "5s", "--certificate-poll", "1s")


async def measure(seconds: float, per_second: float) -> Table:
    """What happened to pods and handshakes."""
    with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as api_server:
        return await _measured(api_server, Path(name), seconds, per_second)


async def _measured(api_server: Cluster, folder: Path, seconds: float, per_second: float) -> Table:
    run, home, sales = two_namespaces(api_server)
    account = folder / "serviceaccount"
    account.mkdir()
    async with switch() as entrance, release(api_server, home.name, run, entrance.port, account) as made:
        load = Load(made, sales, per_second=per_second)
        async with replicas(load, folder, *LIVES) as start:
            running = list(await asyncio.gather(start("first"), start("second")))
            entrance.replicas = list(running)
            await until(lambda: len(entrance.ready) == len(running), "ready")
            await in_force(load)
            load.seconds.clear()
            began = time.monotonic()
            async with under(load, asyncio.ensure_future(load.shake_hands(running)), workers=WORKERS):
                await asyncio.sleep(seconds)
            taken = {step: await steps(running, step) for step in ("trust", "sign", "forget", "issue")}
    elapsed = time.monotonic() - began
    milliseconds = [one * 1000 for one in load.seconds]
    return Table(
        "Certificates that rotate every minute under admissions",
        (
            "seconds",
            "pods/s",
            "injected",
            "not injected",
            "refused or failed",
            "handshakes",
            "p50 ms",
            "p99 ms",
            "steps",
        ),
        (
            (
                f"{elapsed:.0f}",
                f"{len(load.seconds) / elapsed:.0f}",
                str(load.injected),
                str(len(load.not_injected)),
                str(len(load.failed)),
                str(load.handshakes),
                f"{percentile(milliseconds, 0.5):.1f}",
                f"{percentile(milliseconds, 0.99):.1f}",
                ", ".join(f"{step} {count}" for step, count in taken.items()),
            ),
        ),
        ("Times are of whole pod creations (dry runs) at the API server.",),
    )


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rotation")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--per-second", type=float, default=200.0, help="pods that are created, 0 for all that can be")
    options = parser.parse_args()
    sys.stdout.write(asyncio.run(measure(options.seconds, options.per_second)).markdown() + "\n")


if __name__ == "__main__":
    main()
