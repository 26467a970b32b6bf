"""What `floe queue` does: runs the relay's own queue command in its container, and passes on what it says."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from floe_certs.api import RefusedError, UnreachableError
from floe_core.errors import ConfigurationError
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_webhook import pod as pods
from floe_webhook.commands.explaining import name_of
from floe_webhook.commands.options import ClusterOptions
from floe_webhook.commands.session import opened
from floe_webhook.pod import Document

GATEWAY_CONTAINER = "gateway"
COMMAND = ("/opt/floe/bin/python", "-m", "floe_sidecar.queue")

_STDOUT, _STDERR, _STATUS = 1, 2, 3
_FAILED = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to be run, and where; without a container the one that relays is found."""

    pod: str
    words: tuple[str, ...]
    namespace: str | None = None
    container: str | None = None


def run_in_pod(asked: Asked, target: Path | None, options: ClusterOptions) -> int:
    """Runs the command and gives its exit code; what it writes goes to the target, else to standard output.

    Raises:
        ConfigurationError: There is no such pod or container, or no right to it.
        ConnectionError: There is no answer.
    """
    name = name_of(asked.pod)
    with _output(target) as output:
        return asyncio.run(_run(name, asked, output, options))


async def _run(name: str, asked: Asked, output: BinaryIO, options: ClusterOptions) -> int:
    async with opened(options) as cluster:
        home = asked.namespace or cluster.choices.here
        path = f"/api/v1/namespaces/{home}/pods/{name}"
        try:
            found = await cluster.api.read(path)
            if found is None:
                raise ConfigurationError(
                    f"There is no pod {name} in the namespace {home}.", remedy="Name its namespace with --namespace."
                )
            chosen = asked.container or relay_of(found)
            query = [("container", chosen), ("stdout", "true"), ("stderr", "true")]
            query += [("command", word) for word in (*COMMAND, *asked.words)]
            errors = sys.stderr.buffer
            code = _FAILED
            async for stream, content in cluster.api.execute(f"{path}/exec", query=query):
                if stream == _STDOUT:
                    output.write(content)
                elif stream == _STDERR:
                    errors.write(content)
                elif stream == _STATUS:
                    code = exit_code(content, chosen)
        except RefusedError as error:
            raise ConfigurationError(
                f"You may not do it: {error}", remedy="Ask for the rights to get pods and to create pods/exec."
            ) from None
        except UnreachableError as error:
            raise FloeConnectionError(
                f"There is no answer: {error}.", remedy="See whether the relay's container runs: `kubectl get pod`."
            ) from None
        output.flush()
        errors.flush()
        return code


def relay_of(pod: Document) -> str:
    """The name of the container that relays.

    Raises:
        ConfigurationError: There is none.
    """
    names = [str(one.get("name")) for one in pods.all_containers(pod)]
    for name in (pods.SIDECAR_NAME, GATEWAY_CONTAINER):
        if name in names:
            return name
    raise ConfigurationError(
        f"The pod has neither a sidecar nor a gateway; its containers are {', '.join(names)}.",
        remedy="See `floe explain` for why it has no sidecar, or name the relay with --container.",
    )


def exit_code(status: bytes, container: str) -> int:
    """The command's exit code out of the status that ends it (`metav1.Status`).

    Raises:
        ConfigurationError: It could not be run at all; the status's words say why.
    """
    try:
        document = orjson.loads(status)
    except orjson.JSONDecodeError:
        return _FAILED
    if document.get("status") == "Success":
        return 0
    causes = (document.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode" and str(cause.get("message")).isdigit():
            return int(cause["message"])
    raise ConfigurationError(
        f"The command cannot be run in the container {container}: {document.get('message', 'no reason given')}",
        remedy="The container has to run, with an image of this release.",
    )


@contextmanager
def _output(target: Path | None) -> Iterator[BinaryIO]:
    if target is None:
        yield sys.stdout.buffer
        return
    try:
        file = target.open("xb")
    except OSError as error:
        raise ConfigurationError(
            f"The file cannot be made: {error.strerror}.", where=str(target), remedy="Name a new file with --to."
        ) from None
    with file:
        yield file
