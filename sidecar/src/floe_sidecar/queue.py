"""`python -m floe_sidecar.queue`: lists, shows, sends again, exports and deletes what the spool holds.

Safe beside the running relay: what only reads uses a connection of its own; what changes is done by the relay itself
(`floe_sidecar.control`), or here under the folder's lock if no relay runs. Credentials are cut out of what is shown.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it could not be done; one line on standard error says why |
| 2 | the command line is wrong |
| 3 | nothing was found that was meant |
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

from floe_sidecar.control import connected
from floe_sidecar.locks import FolderInUseError, lock
from floe_sidecar.settings import Variable
from floe_sidecar.spool import FILE_NAME, TELEMETRY_FILE_NAME, Spool
from floe_sidecar.upkeep import Order, Outcome, Selection, Verb, body_of, carry_out, entries

DONE, FAILED, NOTHING_FOUND = 0, 1, 3
_DETAIL_CHARACTERS = 60


class QueueError(Exception):
    """It cannot be done; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read has had enough
        return DONE
    except (QueueError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"floe_sidecar.queue: {error}\n")
        return FAILED
    return code


def _list(options: argparse.Namespace) -> int:
    with _reading(options.spool, telemetry=options.telemetry) as connection:
        for number, entry in enumerate(entries(connection, _selection(options))):
            if number == options.limit:
                sys.stderr.write(f"there are more than {options.limit}; see more with --limit\n")
                break
            if options.json:
                _print(msgspec.json.encode(entry).decode())
                continue
            columns = [str(entry.sequence), _moment(entry.received_at), f"{entry.size:>8}", entry.run]
            if not options.queue:
                columns += [entry.reason, " ".join(entry.detail.split())[:_DETAIL_CHARACTERS]]
            _print("  ".join(columns).rstrip())
    return DONE


def _show(options: argparse.Namespace) -> int:
    with _reading(options.spool) as connection:
        chosen = Selection(queue=options.queue, sequences=(options.number,))
        entry = next(entries(connection, chosen), None)
        if entry is None:
            return _nothing_found()
        body = body_of(connection, entry.sequence, queue=options.queue)
    document = msgspec.to_builtins(entry) | {"body": _as_json(body)}
    _print(msgspec.json.format(msgspec.json.encode(document)).decode())
    return DONE


def _export(options: argparse.Namespace) -> int:
    written = size = lost = 0
    with _reading(options.spool) as connection, _target(options) as write:
        for entry in entries(connection, _selection(options)):
            body = body_of(connection, entry.sequence, queue=options.queue)
            if body is None:
                lost += 1  # delivered meanwhile, or damaged
                continue
            write(body.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
            written, size = written + 1, size + len(body)
    word = "would be exported" if options.dry_run else "exported"
    sys.stderr.write(f"{written} events, {size} bytes {word}{f', {lost} without a body' if lost else ''}\n")
    return DONE if written else NOTHING_FOUND


def _change(options: argparse.Namespace) -> int:
    selection = _selection(options)
    if not (selection.sequences or selection.run or selection.reason or options.all):
        raise QueueError("say which events are meant with --sequence, --run or --reason, or all of them with --all")
    verb = Verb(options.verb)
    if options.dry_run:
        with _reading(options.spool, telemetry=options.telemetry) as connection:
            total = sum(1 for _ in entries(connection, selection))
        sys.stderr.write(f"{total} events would be {_DONE_WORDS[verb]}\n")
        return DONE if total else NOTHING_FOUND
    done = skipped = 0
    order = Order(verb, selection, telemetry=options.telemetry)
    with _giving(options.spool, telemetry=options.telemetry) as give:
        while (outcome := give(order)).more:
            done, skipped = done + outcome.done, skipped + outcome.skipped
            order = Order(verb, selection, outcome.after, outcome.last, options.telemetry)
    if outcome.failure:
        raise QueueError(f"{outcome.failure}; {done} events were {_DONE_WORDS[verb]} before")
    stay = f", {skipped} without a readable body stay" if skipped else ""
    sys.stderr.write(f"{done} events {_DONE_WORDS[verb]}{stay}\n")
    return DONE if done else NOTHING_FOUND


_DONE_WORDS = {Verb.REPLAY: "put back into the queue", Verb.PURGE: "deleted"}


@contextmanager
def _reading(directory: Path, *, telemetry: bool = False) -> Iterator[sqlite3.Connection]:
    file = _file(directory, telemetry=telemetry)
    # Not `mode=ro`: a reader of a write-ahead log has to write into its index.
    address = f"file:{quote(str(file.resolve()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=5.0)) as connection:
        connection.execute("PRAGMA query_only=1")
        yield connection


@contextmanager
def _giving(directory: Path, *, telemetry: bool) -> Iterator[Callable[[Order], Outcome]]:
    """Who carries orders out: the relay that runs, else this process under the folder's lock."""
    file = _file(directory, telemetry=telemetry)
    try:
        descriptor = lock(directory)
    except FolderInUseError:
        try:
            with connected(directory) as give:
                yield give
        except OSError as error:
            raise QueueError(f"the relay that uses {directory} does not take the order ({error})") from None
        return
    spool = Spool(directory, file_name=file.name)
    try:
        spool.open()
        yield lambda order: carry_out(spool, order)
    finally:
        spool.close()
        os.close(descriptor)


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[Callable[[bytes], object]]:
    if options.dry_run:
        yield len
    elif options.to is None:
        yield sys.stdout.buffer.write
    else:
        descriptor = os.open(options.to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file.write


def _file(directory: Path, *, telemetry: bool) -> Path:
    file = directory / (TELEMETRY_FILE_NAME if telemetry else FILE_NAME)
    if not file.is_file():
        raise QueueError(
            f"there is no {file.name} in {directory}; name its folder with --spool or {Variable.SPOOL_DIRECTORY}"
        )
    return file


def _selection(options: argparse.Namespace) -> Selection:
    reason = "" if options.queue else options.reason
    return Selection(options.queue, tuple(options.sequence), options.run.lower(), reason)


def _nothing_found() -> int:
    sys.stderr.write("there is no such event\n")
    return NOTHING_FOUND


def _as_json(body: bytes | None) -> object:
    try:
        return msgspec.json.decode(body or b"null")
    except msgspec.DecodeError:
        return None


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m floe_sidecar.queue",
        description="The relay's dead letters, or with --queue the events that wait.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = _command(commands, "list", "one line an event, oldest first", _list, of_telemetry=True)
    listing.add_argument("--limit", type=int, default=100, help="lines at most (default 100)")
    listing.add_argument("--json", action="store_true", help="each line a JSON object")
    showing = _command(commands, "show", "one event, with its body", _show, chooses=False)
    showing.add_argument("number", type=int, metavar="SEQUENCE")
    exporting = _command(commands, "export", "the events themselves, one JSON document a line", _export)
    exporting.add_argument("--to", type=Path, metavar="FILE", help="a new file instead of standard output")
    replaying = _command(
        commands, "replay", "put dead letters behind what waits", _change, of_queue=False, of_telemetry=True
    )
    purging = _command(
        commands, "purge", "delete; what is being sent at that moment may still arrive", _change, of_telemetry=True
    )
    for verb, changing in ((Verb.REPLAY, replaying), (Verb.PURGE, purging)):
        changing.set_defaults(verb=verb)
        changing.add_argument("--all", action="store_true", help="no condition: all of them")
    for command in (exporting, replaying, purging):
        command.add_argument("--dry-run", action="store_true", help="only say how many events are meant")
    return parser


def _own_folder(environment: Mapping[str, str]) -> str | None:
    """The spool of the relay that runs with this environment."""
    folder = environment.get(Variable.SPOOL_DIRECTORY)
    if folder and environment.get(Variable.SPOOL_PER_POD, "").lower() == "true":
        return str(Path(folder) / environment.get(Variable.POD_UID, ""))
    return folder


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    meaning: str,
    run: Callable[[argparse.Namespace], int],
    *,
    chooses: bool = True,
    of_queue: bool = True,
    of_telemetry: bool = False,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=meaning, description=meaning)
    folder = _own_folder(os.environ)
    command.add_argument(
        "--spool",
        type=Path,
        default=folder,
        required=not folder,
        help=f"its folder (default: ${Variable.SPOOL_DIRECTORY})",
    )
    command.set_defaults(command=run, queue=False, telemetry=False)
    if of_telemetry:
        command.add_argument("--telemetry", action="store_true", help="telemetry's export requests instead of events")
    if of_queue:
        command.add_argument("--queue", action="store_true", help="the events that wait instead of the dead letters")
    if chooses:
        command.add_argument("--sequence", type=int, action="append", default=[], help="this one; may be repeated")
        command.add_argument("--run", default="", help="of this run")
        command.add_argument("--reason", default="", help="dead letters of this reason")
    return command


if __name__ == "__main__":
    os.umask(0o077)  # the spool holds what the pipeline knows
    sys.exit(main())
