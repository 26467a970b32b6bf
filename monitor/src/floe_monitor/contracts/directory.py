"""Contracts of a directory; a bad one is reported and never stops the others."""

from dataclasses import dataclass
from pathlib import Path

from floe_core.errors import ConfigurationError, FloeError, Location, ValidationError
from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.contracts.reading import read_contract

_SUFFIXES = (".odcs.yaml", ".odcs.yml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ReadContracts:
    """What a directory holds: contracts that can be watched, and why others cannot."""

    contracts: tuple[Contract, ...]
    errors: tuple[FloeError, ...]


def read_directory(directory: Path, *, environment: str | None = None) -> ReadContracts:
    """All contracts of a directory (not of its sub-directories), in the order of file names.

    Raises:
        ConfigurationError: There is no such directory.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            "There is no such directory of contracts.", where=Location(str(directory)), remedy="Check `--contracts`."
        )
    contracts: dict[ContractId, Contract] = {}
    errors: list[FloeError] = []
    # Names that begin with a dot are a ConfigMap volume's own.
    for path in sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")):
        if not path.name.endswith(_SUFFIXES):
            continue
        try:
            contract = read_contract(path, environment=environment)
        except (ConfigurationError, ValidationError) as error:
            errors.append(error)
            continue
        if contract.id in contracts:
            errors.append(
                ConfigurationError(
                    f"The contract {contract.id} is there twice; the first file holds.",
                    where=Location(str(path)),
                    remedy="Give it another version, or remove one of both.",
                )
            )
            continue
        contracts[contract.id] = contract
    return ReadContracts(tuple(contracts.values()), tuple(errors))
