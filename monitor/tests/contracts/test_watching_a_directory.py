"""A folder of contracts that changes."""

from pathlib import Path

import pytest

from floe_core.errors import ConfigurationError
from floe_monitor.contracts.directory import ContractDirectory, ReadContracts

pytestmark = pytest.mark.requirement("FR-004", "FR-044")
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
slaProperties: [{{property: freshness, value: {age}, element: orders}}]
schema: [{{name: orders}}]
"""


def write(folder: Path, name: str, age: str = "PT1H") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(CONTRACT.format(name=name, age=age))
    return path


def names(found: ReadContracts | None) -> list[str]:
    assert found is not None
    return [contract.id.contract for contract in found.contracts]


@pytest.fixture
def directory(tmp_path: Path) -> ContractDirectory:
    write(tmp_path, "orders")
    directory = ContractDirectory(tmp_path)
    assert names(directory.read()) == ["orders"]
    return directory


def test_while_nothing_changes_nothing_is_read(directory: ContractDirectory) -> None:
    assert [directory.changes() for _ in range(3)] == [None, None, None]


def test_a_change_counts_once_it_stands_still(directory: ContractDirectory, tmp_path: Path) -> None:
    write(tmp_path, "customers")
    assert directory.changes() is None
    write(tmp_path, "shops")
    assert directory.changes() is None
    assert names(directory.changes()) == ["customers", "orders", "shops"]
    assert directory.changes() is None


def test_a_removed_file_removes_its_contract(directory: ContractDirectory, tmp_path: Path) -> None:
    write(tmp_path, "customers")
    directory.read()
    (tmp_path / "orders.yaml").unlink()
    directory.changes()
    assert names(directory.changes()) == ["customers"]


def test_a_contract_that_turns_bad_keeps_its_last_good_form_and_is_told(
    directory: ContractDirectory, tmp_path: Path
) -> None:
    before = directory.read().contracts
    path = write(tmp_path, "orders", age="soon")
    found = directory.read()
    assert found.contracts == before
    assert [str(contract) for contract in found.kept] == ["default.default/orders:1.0.0"]
    assert "orders.yaml:6" in found.problems[0]
    assert found.problems[1] == "default.default/orders:1.0.0 is still watched in its last good form."
    write(tmp_path, "orders", age="PT2H")
    mended = directory.read()
    assert (mended.problems, mended.contracts == before) == ([], False)
    path.write_text("nonsense: [")
    assert directory.read().contracts == mended.contracts


def test_a_contract_that_was_never_good_is_told_only(directory: ContractDirectory, tmp_path: Path) -> None:
    write(tmp_path, "customers").write_text("nonsense: true")
    found = directory.read()
    assert (names(found), found.kept, len(found.problems)) == (["orders"], (), 1)


def test_a_new_contract_is_watched_without_its_wrong_promise(directory: ContractDirectory, tmp_path: Path) -> None:
    path = write(tmp_path, "customers", age="soon")
    found = directory.read()
    assert (found.contracts[0].freshness, found.kept, len(found.problems)) == ((), (), 1)
    path.write_text(path.read_text().replace("id: customers", "id: clients"))
    assert (names(directory.read()), directory.read().kept) == (["clients", "orders"], ())


def test_a_config_map_that_is_swapped_is_a_change(tmp_path: Path) -> None:
    for version, age in (("one", "PT1H"), ("two", "PT2H")):
        (tmp_path / f"..{version}").mkdir()
        write(tmp_path / f"..{version}", "orders", age)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "orders.yaml").symlink_to("..data/orders.yaml")
    directory = ContractDirectory(tmp_path)
    before = directory.read().contracts
    (tmp_path / "..swapped").symlink_to("..two")
    (tmp_path / "..swapped").rename(tmp_path / "..data")
    assert directory.changes() is None
    found = directory.changes()
    assert found is not None
    assert [contract.freshness[0].threshold / before[0].freshness[0].threshold for contract in found.contracts] == [2]


def test_a_folder_that_is_away_is_an_error_and_then_goes_on(directory: ContractDirectory, tmp_path: Path) -> None:
    tmp_path.rename(tmp_path.with_suffix(".away"))
    with pytest.raises(ConfigurationError, match="no such directory"):
        directory.changes()
    tmp_path.with_suffix(".away").rename(tmp_path)
    assert directory.changes() is None
