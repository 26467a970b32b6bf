"""`floe contract`: for the people who write contracts."""

import json
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from floe_core.cli.main import run
from floe_monitor.service.trial import as_junit
from monitor.tests.builders import check_run, outcome
from monitor.tests.sources import make_orders

pytestmark = pytest.mark.requirement("FR-004", "FR-045", "CC-5.1")
Captured = pytest.CaptureFixture[str]

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {type: text, description: good}
  - name: returns
slaProperties:
  - {property: freshness, value: PT6H, element: orders.updated_at}
  - {property: availability, value: 99%}
"""
MANIFEST = """\
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: test}}
plugins:
  compute: {{type: duckdb, config: {{path: {path}}}}}
  quality: {{type: odcs}}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    file = tmp_path / "orders.yaml"
    file.write_text(CONTRACT)
    return file


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    make_orders(tmp_path / "w.duckdb", age=timedelta(hours=1))
    file = tmp_path / "manifest.yaml"
    file.write_text(MANIFEST.format(path=tmp_path / "w.duckdb"))
    return file


def test_a_right_contract_is_told_with_what_cannot_be_checked(contract: Path, capsys: Captured) -> None:
    assert run(["contract", "validate", str(contract)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "default.default/orders:1.0.0: right.",
        "  A quality rule of orders is not checked: its type is text.",
    ]


def test_every_problem_of_every_file_is_told_at_once(contract: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "a.yaml").write_text(CONTRACT.replace("version: 1.0.0\n", ""))
    (tmp_path / "b.yaml").write_text("not: [closed")
    assert run(["contract", "validate", str(contract), str(folder), str(tmp_path / "b.yaml")]) == 1
    told = capsys.readouterr()
    assert "orders:1.0.0: right." in told.out
    assert "a.yaml" in told.err
    assert "b.yaml" in told.err


def test_show_names_every_promise(contract: Path, capsys: Captured) -> None:
    assert run(["contract", "show", str(contract)]) == 0
    told = capsys.readouterr().out
    for part in ("orders.updated_at", "at most 6 h old", "99.000% of 24 h", "orders: rowCount", "its type is text"):
        assert part in told


@pytest.mark.parametrize(("version", "code"), [("1.0.1", 2), ("2.0.0", 0)])
def test_diff_fails_if_the_version_says_too_little(
    contract: Path, tmp_path: Path, version: str, code: int, capsys: Captured
) -> None:
    newer = tmp_path / "newer.yaml"
    newer.write_text(CONTRACT.replace("  - name: returns\n", "").replace("version: 1.0.0", f"version: {version}"))
    assert run(["contract", "diff", str(contract), str(newer)]) == code
    told = capsys.readouterr()
    assert "major" in told.out
    assert "table removed" in told.out
    assert ("need a new major version" in told.err) is (code == 2)


def test_diff_speaks_to_machines_too(contract: Path, capsys: Captured) -> None:
    assert run(["contract", "diff", str(contract), str(contract), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"changes": [], "needed": None, "version_is_enough": True}
    assert run(["contract", "diff", str(contract), str(contract)]) == 0
    assert capsys.readouterr().out == "Nothing has changed.\n"


def test_data_that_keeps_its_contract_passes(contract: Path, manifest: Path, capsys: Captured) -> None:
    assert run(["contract", "test", str(contract), "--manifest", str(manifest)]) == 0
    states = {tuple(line.split()[:2]) for line in capsys.readouterr().out.splitlines()[1:]}
    assert states == {("pass", "freshness"), ("pass", "availability"), ("pass", "quality")}


def test_data_that_breaks_its_contract_fails_the_build(contract: Path, manifest: Path, capsys: Captured) -> None:
    make_orders(manifest.parent / "w.duckdb", age=timedelta(hours=9))
    assert run(["contract", "test", str(contract), "--manifest", str(manifest), "-o", "json"]) == 2
    told = {line["check"]: line for line in json.loads(capsys.readouterr().out)}
    assert told["freshness"]["status"] == "fail"
    assert told["quality"]["details"]["quality_score"] == 100.0


def test_a_build_server_gets_one_case_per_promise(contract: Path, manifest: Path, capsys: Captured) -> None:
    make_orders(manifest.parent / "w.duckdb", age=timedelta(hours=9))
    assert run(["contract", "test", str(contract), "--manifest", str(manifest), "-o", "junit"]) == 2
    report = ET.fromstring(capsys.readouterr().out)  # noqa: S314 - our own text
    cases = {str(case.get("name")): [child.tag for child in case] for case in report.iter("testcase")}
    assert cases["orders.updated_at"] == ["failure"]
    assert cases["orders: rowCount"] == []
    assert {suite.get("failures") for suite in report.iter("testsuite")} == {"0", "1"}


@pytest.mark.parametrize("name", ["a\x01b", "a\ud800b", "a\ufffeb"])
def test_a_junit_report_can_be_read_whatever_a_rule_is_called(name: str) -> None:
    report = ET.fromstring(as_junit([check_run(outcome("error", element=name))]))  # noqa: S314 - our own text
    assert [case.get("name") for case in report.iter("testcase")] == ["a\ufffdb"]


def test_only_the_tables_that_are_named_are_looked_at(contract: Path, manifest: Path, capsys: Captured) -> None:
    asked = ["contract", "test", str(contract), "--manifest", str(manifest), "--table"]
    assert run([*asked, "returns"]) == 0
    assert "freshness" not in capsys.readouterr().out
    assert run([*asked, "nothing"]) == 1
    assert "The contract has no table nothing" in capsys.readouterr().err


def test_what_nobody_can_tell_is_no_success(contract: Path, manifest: Path, capsys: Captured) -> None:
    (manifest.parent / "w.duckdb").unlink()
    assert run(["contract", "test", str(contract), "--manifest", str(manifest)]) == 2
    assert "unknown" in capsys.readouterr().out
