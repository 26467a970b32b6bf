"""The workflow files: what they run exists, they hold no more rights than they need, and they miss nothing of ours."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tools.image_requirements import ROOMS, ROOT

pytestmark = pytest.mark.requirement("CC-3.4")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEPENDABOT = ROOT / ".github" / "dependabot.yml"

# Their tags cannot be moved by a stranger; anybody else's action would have to be named by a commit.
TRUSTED = re.compile(r"(actions|github)/[a-z/-]+@v\d+")
BY_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")

# Renewed by hand with their `replace` lines (Kubernetes), written by the Collector's builder, or without dependencies.
NOT_RENEWED = {"kubernetes", "kubernetes-1.30", "otelcol", "pause"}


def _read(path: Path) -> dict[str, Any]:
    # YAML 1.2, in which the key `on` is no truth value.
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return document


def _steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in _read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(path: Path) -> None:
    assert _read(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_ends_in_time(path: Path) -> None:
    limits = {name: job.get("timeout-minutes") for name, job in _read(path)["jobs"].items()}

    assert all(isinstance(minutes, int) and minutes <= 90 for minutes in limits.values()), limits


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_is_a_trusted_one_or_named_by_its_commit(path: Path) -> None:
    used = [step["uses"] for step in _steps(path) if "uses" in step]

    assert used
    assert [action for action in used if not (TRUSTED.fullmatch(action) or BY_COMMIT.fullmatch(action))] == []


def test_what_the_workflows_run_is_there() -> None:
    commands = "\n".join(step["run"] for path in WORKFLOWS for step in _steps(path) if "run" in step)
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    made = set(re.findall(r"\bmake ([a-z0-9-]+)", commands))
    tools = set(re.findall(r"\btools/[a-z_.]+", commands))

    assert {"lint", "test", "e2e", "audit"} <= made <= targets
    assert tools
    assert all((ROOT / tool).is_file() for tool in tools)


def test_every_image_is_scanned() -> None:
    jobs = _read(ROOT / ".github" / "workflows" / "scan.yml")["jobs"]

    assert set(jobs["images"]["strategy"]["matrix"]["image"]) == set(ROOMS)
    assert all((ROOT / f"Dockerfile.{image}").is_file() for image in ROOMS)


def test_every_go_module_of_the_test_bed_is_renewed_or_known_not_to_be() -> None:
    folder = ROOT / "tests" / "e2e" / "cluster" / "go"
    updates = _read(DEPENDABOT)["updates"]
    renewed = {name.rpartition("/")[2] for update in updates for name in update.get("directories", [])}

    assert renewed | NOT_RENEWED == {path.parent.name for path in folder.glob("*/go.mod")} | {"otelcol"}
    assert renewed.isdisjoint(NOT_RENEWED)


@pytest.mark.parametrize("path", [*WORKFLOWS, DEPENDABOT], ids=lambda path: path.stem)
def test_no_file_names_a_registry_or_a_machine(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"https?://|/home/|/root/|/work/|\b(ghcr|docker|quay|gcr)\.io\b|pypi\.org", text)
