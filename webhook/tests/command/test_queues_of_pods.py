"""`floe queue pod/NAME` against an API server on the loopback address whose kubelet runs the relay's real command.

The stand-in speaks the WebSocket of `exec` as Kubernetes does (KEP-4006): a byte for the stream before what is written,
stream 3 for the status at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from floe_core.errors import ConfigurationError
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_sidecar.events import digest
from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.spool import Spool
from floe_webhook.commands import commands
from floe_webhook.commands.queueing import COMMAND, exit_code
from webhook.tests.command.installation import kubeconfig

pytestmark = pytest.mark.requirement("HOUSE-2", "RELAY-4")

BY_NAME = {command.name: command for command in commands}
EVENTS = [b'{"eventType": "START", "run": {"runId": "r-1"}, "n": %d}' % number for number in range(3)]

Floe = Callable[..., Result]


class ApiServer:
    """Pods, and a kubelet that runs commands in them."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.asked: list[list[tuple[str, str]]] = []
        self.containers: dict[str, list[str]] = {"load-1": ["floe-sidecar"], "gateway-0": ["gateway"], "bare": []}
        self.refused = 0

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/api/v1/namespaces/sales/pods/{name}", self._pod)
        application.router.add_get("/api/v1/namespaces/sales/pods/{name}/exec", self._exec)
        return application

    async def _pod(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.containers:
            return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)
        relays = [{"name": one} for one in self.containers[name]]
        document = {
            "metadata": {"name": name, "namespace": "sales"},
            "spec": {"initContainers": relays, "containers": [{"name": "app"}]},
        }
        return web.json_response(document)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        if self.refused:
            return web.json_response({"kind": "Status", "reason": "Forbidden"}, status=self.refused)
        self.asked.append(list(request.query.items()))
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        words = request.query.getall("command")
        assert tuple(words[: len(COMMAND)]) == COMMAND
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words[1:]),
            env={"FLOE_SIDECAR_SPOOL_DIRECTORY": str(self.spool)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        written, complained = await process.communicate()
        for stream, content in ((1, written[:10]), (2, complained), (1, written[10:])):
            await socket.send_bytes(bytes([stream]) + content)
        await socket.send_bytes(b"\x03" + json.dumps(self._status(process.returncode or 0)).encode())
        await socket.close()
        return socket

    @staticmethod
    def _status(code: int) -> dict[str, object]:
        if code == 0:
            return {"kind": "Status", "status": "Success"}
        causes = [{"reason": "ExitCode", "message": str(code)}]
        return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


@contextmanager
def listening(server: ApiServer) -> Iterator[str]:
    """Its URL."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.application())
    ready: list[int] = []
    started = threading.Event()

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.append(runner.addresses[0][1])
        started.set()

    def live() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{ready[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture
def server(tmp_path: Path) -> ApiServer:
    """With a spool of three events, the first of them a dead letter."""
    spool = Spool(tmp_path / "spool")
    spool.open()
    with spool.transaction():
        spool.append([Record("r-1", digest(event), event) for event in EVENTS])
    with spool.transaction():
        spool.settle([], [DeadLetter(1, "status_400", "no such job")])
    spool.close()
    return ApiServer(tmp_path / "spool")


@pytest.fixture
def floe(server: ApiServer, tmp_path: Path) -> Iterator[Floe]:
    """Runs `floe queue` against it."""
    with listening(server) as url:
        file = kubeconfig(tmp_path, url)

        def run(*arguments: str) -> Result:
            words = [*arguments, "--kubeconfig", str(file), "--namespace", "sales"]
            return CliRunner().invoke(BY_NAME["queue"], words)

        yield run


def test_dead_letters_and_what_waits_are_listed_and_shown(floe: Floe) -> None:
    listed = floe("pod/load-1", "list")
    assert (listed.exit_code, "status_400  no such job" in listed.stdout) == (0, True)
    waiting = floe("load-1", "list", "--queue", "--json")
    assert [json.loads(line)["sequence"] for line in waiting.stdout.splitlines()] == [2, 3]
    assert json.loads(floe("load-1", "show", "1").stdout)["body"]["n"] == 0


def test_a_dry_run_says_how_many_and_changes_nothing(floe: Floe) -> None:
    for words in (("replay", "--all"), ("purge", "--queue", "--run", "r-1")):
        told = floe("load-1", *words, "--dry-run")
        assert (told.exit_code, told.stdout) == (0, "")
        assert "events would be" in told.stderr
    assert len(floe("load-1", "list", "--queue").stdout.splitlines()) == 2
    assert len(floe("load-1", "list").stdout.splitlines()) == 1


def test_a_dead_letter_is_sent_again_and_what_is_meant_is_deleted(floe: Floe) -> None:
    assert floe("load-1", "replay", "--reason", "status_400").exit_code == 0
    assert len(floe("load-1", "list", "--queue").stdout.splitlines()) == 3
    assert floe("load-1", "purge", "--queue", "--sequence", "2").exit_code == 0
    assert len(floe("load-1", "list", "--queue").stdout.splitlines()) == 2


def test_an_export_lands_in_a_new_file_here_and_overwrites_none(floe: Floe, tmp_path: Path) -> None:
    target = tmp_path / "events.ndjson"
    assert floe("load-1", "export", "--queue", "--to", str(target)).exit_code == 0
    assert target.read_bytes().splitlines() == EVENTS[1:]
    again = floe("load-1", "export", "--queue", "--to", str(target))
    assert isinstance(again.exception, ConfigurationError)
    assert floe("load-1", "list", "--to", str(target)).exit_code == 2


@pytest.mark.parametrize(("words", "code"), [(("show", "77"), 3), (("purge",), 1), (("list", "--nothing"), 2)])
def test_the_exit_code_is_the_commands_own(floe: Floe, words: tuple[str, ...], code: int) -> None:
    told = floe("load-1", *words)
    assert told.exit_code == code
    assert told.stderr


def test_the_relays_container_is_found_also_in_a_gateways_pod(floe: Floe, server: ApiServer) -> None:
    floe("gateway-0", "list")
    floe("load-1", "list")
    floe("bare", "list", "--container", "mine")
    assert [dict(asked)["container"] for asked in server.asked] == ["gateway", "floe-sidecar", "mine"]


def test_a_pod_that_is_not_there_or_has_no_relay_is_told_with_what_to_do(floe: Floe) -> None:
    for pod, words in (("nobody", "no pod nobody in the namespace sales"), ("bare", "its containers are app")):
        told = floe(pod, "list")
        assert isinstance(told.exception, ConfigurationError)
        assert words in str(told.exception)


def test_a_missing_right_and_a_server_in_trouble_are_told_apart(floe: Floe, server: ApiServer) -> None:
    server.refused = 403
    refused = floe("load-1", "list")
    assert isinstance(refused.exception, ConfigurationError)
    assert "pods/exec" in str(refused.exception)
    server.refused = 500
    assert isinstance(floe("load-1", "list").exception, FloeConnectionError)


def test_a_command_that_could_not_be_run_is_told_in_the_clusters_words() -> None:
    status = {"status": "Failure", "message": "container not found (floe-sidecar)", "reason": "InternalError"}
    with pytest.raises(ConfigurationError, match="container not found"):
        exit_code(json.dumps(status).encode(), "floe-sidecar")
    assert exit_code(b"no JSON", "floe-sidecar") == 1
