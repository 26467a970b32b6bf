"""`floe contract register|list|show|unregister` against a running API."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.cli.main import run
from floe_monitor.service.api import ContractApi
from floe_monitor.service.bearer import BearerTokens
from floe_monitor.service.registry import Registry
from floe_monitor.service.web import serving
from monitor.tests.service.test_api import text

pytestmark = pytest.mark.requirement("FR-004", "CC-5.1")
Captured = pytest.CaptureFixture[str]


async def _not_asked(*_: Any) -> Any:
    raise NotImplementedError


@pytest.fixture
async def monitor(engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """A folder for contracts; the environment names the monitor and its token."""
    tokens = tmp_path / "token"
    tokens.write_text("s3cret\nolder\n")
    app = web.Application()
    ContractApi(engine, Registry(engine), BearerTokens(tokens), _not_asked, {}).add_to(app)
    async with serving(app, "127.0.0.1", 0) as port:
        monkeypatch.setenv("FLOE_MONITOR_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("FLOE_MONITOR_TOKEN_FILE", str(tokens))
        folder = tmp_path / "contracts"
        folder.mkdir()
        yield folder


async def floe(*arguments: object) -> int:
    return await asyncio.to_thread(run, ["contract", *map(str, arguments)])


async def test_a_folder_is_registered_listed_shown_and_unregistered(monitor: Path, capsys: Captured) -> None:
    for name in ("orders", "returns"):
        (monitor / f"{name}.yaml").write_text(text(name=name))
    assert await floe("register", monitor) == 0
    assert await floe("register", monitor / "orders.yaml") == 0
    assert "sales.shop/orders:1.0.0: registered already." in capsys.readouterr().out
    assert await floe("list", "-o", "json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in listed] == ["sales.shop/orders:1.0.0", "sales.shop/returns:1.0.0"]
    assert await floe("show", "sales.shop/orders:1.0.0") == 0
    assert "sales.shop/orders:1.0.0: watched." in capsys.readouterr().out
    assert await floe("unregister", "sales.shop/orders:1.0.0") == 0
    assert await floe("list", "--all") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("sales.")]
    assert [(row[0], row[2]) for row in rows[-2:]] == [
        ("sales.shop/orders:1.0.0", "no"),
        ("sales.shop/returns:1.0.0", "yes"),
    ]


async def test_a_refused_contract_does_not_stop_the_others_and_fails_the_command(
    monitor: Path, capsys: Captured
) -> None:
    (monitor / "a.yaml").write_text(text(name="a", age="soon"))
    (monitor / "b.yaml").write_text(text(name="b"))
    assert await floe("register", monitor) == 1
    told = capsys.readouterr()
    assert "sales.shop/b:1.0.0: registered." in told.out
    assert f"{monitor / 'a.yaml'}:9" in told.err


async def test_a_changed_version_is_refused_with_what_differs(monitor: Path, capsys: Captured) -> None:
    file = monitor / "orders.yaml"
    for age, code in (("PT6H", 0), ("PT12H", 1)):
        file.write_text(text(age=age))
        assert await floe("register", file) == code
    assert "freshness of orders: was relaxed" in capsys.readouterr().err


@pytest.mark.usefixtures("monitor")
async def test_without_a_token_the_command_says_what_is_missing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOE_MONITOR_TOKEN_FILE")
    assert await floe("list") == 1
    assert "There is no bearer token." in capsys.readouterr().err
    monkeypatch.setenv("FLOE_MONITOR_TOKEN", "older")
    assert await floe("list") == 0
