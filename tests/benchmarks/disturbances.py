"""What happens to admissions when something around the webhook ends, pauses or is replaced.

`python -m tests.benchmarks.disturbances` prints a table, by hand: each disturbance takes some seconds. It starts an API
server of its own and two replicas of the webhook behind a switch of connections. The replicas' wall clock is their own
(`tests.e2e.moved_clock`), so that it can jump.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psutil

from tests.benchmarks.report import Table
from tests.e2e.cluster.control_plane import Cluster, cluster
from tests.e2e.moved_clock import MovedClock, moved_clock
from tests.e2e.webhook_load import Load, in_force, replicas, under
from tests.e2e.webhook_release import release as made_release
from tests.e2e.webhook_release import two_namespaces
from webhook.tests.serving.program import Program
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.waiting import SECONDS, until

QUICK_LOOKS = ("--trust-settle", "1s", "--certificate-poll", "0.5s")
PAUSE_SECONDS = 3.0
BEFORE_AND_AFTER_SECONDS = 2.0


@dataclass(slots=True)
class Scene:
    """What may be disturbed.

    Attributes:
        stack: Ends what a disturbance starts.
    """

    entrance: Switch
    running: list[Program]
    start: Callable[[str], Awaitable[Program]]
    stack: ExitStack
    clock: MovedClock
    started: int = 0

    async def another(self) -> Program:
        """One more replica, once it is ready."""
        self.started += 1
        program = await self.start(f"further-{self.started}")
        self.running.append(program)
        self.entrance.replicas.append(program)
        await until(lambda: program.port in self.entrance.ready, "ready")
        return program


async def nothing(_: Scene) -> None:
    """To compare with."""
    await asyncio.sleep(PAUSE_SECONDS)


async def rolling_update(scene: Scene) -> None:
    """A new replica first, then an old one ends; twice."""
    for old in list(scene.running):
        await scene.another()
        old.stop()
        await asyncio.wait_for(old.process.wait(), SECONDS)
        scene.entrance.replicas.remove(old)
        scene.running.remove(old)


async def replica_killed(scene: Scene) -> None:
    """One ends without a word and another takes its place."""
    killed = scene.running.pop(0)
    killed.process.kill()
    scene.entrance.replicas.remove(killed)
    scene.entrance.ready = [one.port for one in scene.running]
    await scene.another()


async def etcd_paused(_: Scene) -> None:
    """The cluster's memory says nothing for a while."""
    await _paused(_process("etcd"))


async def api_server_paused(_: Scene) -> None:
    """Nobody asks, and nobody answers the replicas."""
    await _paused(_process("kube-apiserver"))


async def api_server_restarted(scene: Scene) -> None:
    """It ends at once and begins anew."""
    old = _process("kube-apiserver")
    command = old.cmdline()
    old.kill()
    old.wait(SECONDS)
    await asyncio.sleep(PAUSE_SECONDS / 3)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220 - no pipe
    scene.stack.callback(process.wait)
    scene.stack.callback(process.terminate)


async def clock_jumps(scene: Scene) -> None:
    """Back by three hours, ahead by twenty, and right again; for every replica."""
    for hours in (-3, 20, 0):
        scene.clock.move(timedelta(hours=hours))
        await asyncio.sleep(PAUSE_SECONDS)


DISTURBANCES = (
    nothing, rolling_update, replica_killed, etcd_paused, api_server_paused, api_server_restarted, clock_jumps
)  # fmt: skip


async def measure() -> Table:
    """One row for each disturbance."""
    with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as api_server, ExitStack() as stack:
        return await _measured(api_server, Path(name), stack)


async def _measured(api_server: Cluster, folder: Path, stack: ExitStack) -> Table:
    run, home, sales = two_namespaces(api_server)
    account = folder / "serviceaccount"
    account.mkdir()
    async with switch() as entrance, made_release(api_server, home.name, run, entrance.port, account) as made:
        clock = moved_clock(folder)
        release = replace(made, environment={**made.environment, **clock.environment})
        load = Load(release, sales)
        async with replicas(load, folder, *QUICK_LOOKS) as start:
            running = list(await asyncio.gather(start("first"), start("second")))
            entrance.replicas = list(running)
            await until(lambda: len(entrance.ready) == len(running), "ready")
            await in_force(load)
            scene = Scene(entrance, running, start, stack, clock)
            rows = [await _row(Load(release, sales), disturb, scene) for disturb in DISTURBANCES]
    return Table(
        "Admissions while something else happens",
        ("what happens", "injected", "not injected", "refused by the API server", "not answered by it", "slowest ms"),
        tuple(rows),
        ("Four clients create pods (dry runs) one after another; a pod that is not injected was admitted as it is.",),
    )


async def _row(load: Load, disturb: Callable[[Scene], Awaitable[None]], scene: Scene) -> tuple[str, ...]:
    async with under(load):
        await asyncio.sleep(BEFORE_AND_AFTER_SECONDS)
        await disturb(scene)
        await load.more(1)
        await asyncio.sleep(BEFORE_AND_AFTER_SECONDS)
    counts = (load.injected, len(load.not_injected), len(load.failed), load.unanswered)
    return (
        disturb.__name__.replace("_", " "),
        *(str(count) for count in counts),
        f"{max(load.seconds) * 1000:.0f}",
    )


def _process(name: str) -> psutil.Process:
    """The one of that name that this process has started."""
    return next(one for one in psutil.Process().children(recursive=True) if one.name() == name)


async def _paused(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSE_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(measure()).markdown() + "\n")
