"""Contracts of a directory, read again when it changes; a bad one is reported and never stops the others.

A bad promise costs itself only: the others of its contract are watched, or the last form in which all was good.

Looking is by the files' names, sizes and times, from time to time: it works on every volume, and a ConfigMap's links
are followed. A change counts once two looks in a row have seen the same: no file is read while it is being written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from floe_core.errors import ConfigurationError, FloeError, Location, ValidationError
from floe_core.manifest.document import read_text
from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.contracts.reading import Examined, examine_contract

_SUFFIXES = (".odcs.yaml", ".odcs.yml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ReadContracts:
    """What a directory holds.

    Attributes:
        contracts: Those that can be watched.
        errors: Why others cannot, and which promises of these are left out.
        kept: Those whose file is bad now, in their last good form.
    """

    contracts: tuple[Contract, ...]
    errors: tuple[FloeError, ...] = ()
    kept: tuple[ContractId, ...] = ()

    @property
    def problems(self) -> list[str]:
        """What a person should mend, as sentences."""
        return [
            *(str(error) for error in self.errors),
            *(f"{contract} is still watched in its last good form." for contract in self.kept),
        ]


_Look = tuple[tuple[str, int, int, int], ...]


class ContractDirectory:
    """The contracts in the files of a directory (not of its sub-directories), in the order of file names.

    Args:
        directory: Where they are.
        environment: As in `read_contract`.
    """

    def __init__(self, directory: Path, *, environment: str | None = None) -> None:
        self._directory = directory
        self._environment = environment
        self._good: dict[Path, Examined] = {}
        self._read: _Look | None = None
        self._last: _Look | None = None

    def read(self) -> ReadContracts:
        """What is there now.

        Raises:
            ConfigurationError: There is no such directory, or it cannot be looked into.
        """
        self._read = self._last = self._look()
        contracts: dict[ContractId, Contract] = {}
        errors: list[FloeError] = []
        kept: list[ContractId] = []
        good: dict[Path, Examined] = {}
        for path in contract_files(self._directory):
            examined, error = self._examined(path)
            if error is not None:
                errors.append(error)
                if _is_better(self._good.get(path), examined):
                    examined = self._good[path]
                    kept.append(examined.contract.id)
            if examined is None:
                continue
            good[path] = examined
            contract = examined.contract
            if contract.id in contracts:
                errors.append(_twice(contract.id, path))
            else:
                contracts[contract.id] = contract
        self._good = good
        return ReadContracts(tuple(contracts.values()), tuple(errors), tuple(kept))

    def _examined(self, path: Path) -> tuple[Examined | None, FloeError | None]:
        """What a file holds, as far as it is right, and what is wrong with it."""
        try:
            examined = examine_contract(read_text(path), file=str(path), environment=self._environment)
        except (ConfigurationError, ValidationError) as error:
            return None, error
        if not examined.refused:
            return examined, None
        return examined, ValidationError.of(f"The contract {examined.contract.id}", examined.refused)

    def changes(self) -> ReadContracts | None:
        """As `read`, if something has changed since and stands still by now; otherwise None."""
        look = self._look()
        stands_still, self._last = look == self._last, look
        return self.read() if stands_still and look != self._read else None

    def _look(self) -> _Look:
        found = []
        for path in contract_files(self._directory):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # it went between listing and looking
            found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)


def contract_files(directory: Path) -> Iterator[Path]:
    """The files of a directory that hold a contract each, in the order of their names.

    Raises:
        ConfigurationError: There is no such directory, or it cannot be looked into.
    """
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        raise ConfigurationError(
            "There is no such directory of contracts.",
            where=Location(str(directory)),
            remedy="Check `--contracts`.",
        ) from None
    # Names that begin with a dot are a ConfigMap volume's own.
    return (path for path in paths if path.name.endswith(_SUFFIXES) and path.name[0] != "." and path.is_file())


def read_directory(directory: Path, *, environment: str | None = None) -> ReadContracts:
    """All contracts of a directory, once; see `ContractDirectory.read`."""
    return ContractDirectory(directory, environment=environment).read()


def _is_better(before: Examined | None, now: Examined | None) -> bool:
    """Whether the last form is watched on: it had every promise, or the new one is no contract at all."""
    return before is not None and (now is None or not before.refused)


def _twice(contract: ContractId, path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The contract {contract} is there twice; the first file holds.",
        where=Location(str(path)),
        remedy="Give it another version, or remove one of both.",
    )
