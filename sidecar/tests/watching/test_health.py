"""What the health port says: alive, ready, metrics, status; and that the README says the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from floe_sidecar.settings import PodSettings, Settings, Variable
from sidecar.tests.builders import accepted, ask, body, get, post, relay, request, until
from sidecar.tests.standins import BackendStandIn, Reply

pytestmark = pytest.mark.requirement("HOUSE-12", "RELAY-5", "CC-1.4")

README = (Path(__file__).parents[2] / "README.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the README's table under a heading: the first cell's code, then the other cells."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if "`" in line[:5]]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {re.sub(r"[`{].*", "", row[0].strip("` ")): row[1:] for row in cells}


async def test_it_lives_and_is_ready(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        assert (await get(sidecar.health.port, "/healthz")).json == {"status": "alive"}
        assert (await get(sidecar.health.port, "/readyz")).json == {"ready": True, "problems": [], "remarks": []}
        assert (await get(sidecar.health.port, "/nothing")).status == 404
        (posted,) = await ask(sidecar.health.port, request(path="/healthz"))
        assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_a_dead_backend_makes_it_neither_dead_nor_unready(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        await post(sidecar.application.port, body())
        await until(lambda: not sidecar.delivery.is_up)
        ready = await get(sidecar.health.port, "/readyz")
        assert ready.status == 200
        assert "the backend does not take events now" in ready.json["remarks"][0]
        assert (await get(sidecar.health.port, "/healthz")).status == 200


async def test_a_full_spool_is_a_remark_and_a_failing_disk_a_problem(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    async with relay(tmp_path, spool_max_bytes=2000) as sidecar:
        unready = await get(sidecar.health.port, "/readyz")
        assert (unready.status, unready.json["ready"]) == (503, False)
        assert "disk" in unready.json["problems"][0]
        assert (await get(sidecar.health.port, "/healthz")).status == 200
        (tmp_path / "spool").unlink()
        await accepted(sidecar, body(padding="x" * 1300))
        full = await get(sidecar.health.port, "/readyz")
        assert (full.status, "nearly full" in full.json["remarks"][0]) == (200, True)


async def test_a_head_request_gets_the_head_alone(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        raw = request(path="/healthz", method="HEAD") + request(path="/nothing", method="HEAD", Connection="close")
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.health.port)
        writer.write(raw)
        assert (await reader.read()).count(b"HTTP/1.1") == 2
        writer.close()


async def test_the_status_counts_what_came_and_went(tmp_path: Path, backend: BackendStandIn) -> None:
    backend.answer = lambda seen: Reply(400) if seen.kind == "FAIL" else Reply()
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        for content in (body(1), body(1), body(1, "FAIL"), b"{", body(2, text="postgres://a:b@c")):
            await post(sidecar.application.port, content)
        await until(lambda: sidecar.writer.level.events == 0)
        status = (await get(sidecar.health.port, "/status")).json
    assert status["events"] == {
        "acked": 4,
        "duplicates": 1,
        "refused": 1,
        "redacted": 1,
        "sent": 3,
        "delivered": 2,
        "handed_over": 0,
        "taken_over": 0,
        "pending": 0,
        "dead": 1,
        "lost": 0,
    }
    assert status["spool"]["directory"] == str(tmp_path / "spool")
    assert status["backend"]["up"] is True
    assert status["backend"]["name"] == f"{backend.url}/api/v1/lineage"
    assert status["backend"]["last_success_at"].endswith("+00:00")


async def test_the_oldest_events_age_is_told(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        await post(sidecar.application.port, body())
        await until(lambda: sidecar.writer.level.events == 1)
        age = (await get(sidecar.health.port, "/status")).json["spool"]["oldest_age_seconds"]
        assert 0 <= age < 20
        assert "floe_sidecar_queue_events 1\n" in (await get(sidecar.health.port, "/metrics")).body.decode()


def samples(text: str) -> dict[str, float]:
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


async def test_metrics_are_valid_documented_and_the_document_names_no_other(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - here only

    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await post(sidecar.application.port, body(1))
        await post(sidecar.application.port, b"{")
        await until(lambda: sidecar.writer.level.events == 0)
        answer = await get(sidecar.health.port, "/metrics")
    text = answer.body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    documented = rows("Metrics")
    names = {f"floe_sidecar_{name}" for name in documented} | set(rows("Metrics of the pipeline"))
    assert set(families) == {re.sub(r"_total$", "", name) for name in names}
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = samples(text)
    assert values["floe_sidecar_events_delivered_total"] == 1
    assert values['floe_sidecar_events_refused_total{reason="not_json"}'] == 1
    assert values["floe_sidecar_ack_seconds_count"] == 1
    assert values['floe_sidecar_ack_seconds_bucket{le="+Inf"}'] == 1
    assert values["floe_sidecar_commit_seconds_sum"] > 0


async def test_every_field_of_the_status_is_documented(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        status = (await get(sidecar.health.port, "/status")).json
    paths = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in status.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert paths == set(rows("Status"))


def shown(value: object) -> str:
    if value is None or value in ("", ()) or (isinstance(value, Mapping) and not value):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.requirement("CC-2.2")
def test_every_variable_is_documented_with_its_default() -> None:
    documented = rows("Variables")
    assert set(documented) == set(Variable)
    for holder, setting in [(kind(), setting) for kind in (Settings, PodSettings) for setting in fields(kind)]:
        value = getattr(holder, setting.name)
        if isinstance(value, PodSettings):
            continue
        default = documented[Variable[setting.name.upper()]][1]
        if setting.name == "spool_directory":
            assert default == "a new temporary folder"
        elif setting.name.endswith("_bytes"):
            amount, unit = default.split(" ")
            assert int(amount) * {"KiB": 1024, "MiB": 1024**2}[unit] == value
        else:
            assert default.strip("`") == shown(value)


@pytest.mark.requirement("RELAY-1")
def test_every_promise_names_tests_that_exist() -> None:
    section = README.split("## Promises\n", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", section)
    assert len(named) >= 11
    for file, test in named:
        assert re.search(rf"def {test}\(", (Path(__file__).parents[1] / file).read_text()), (file, test)
