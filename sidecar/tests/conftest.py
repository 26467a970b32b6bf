"""Fixtures that all of the sidecar's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.tests.standins import BackendStandIn


@pytest.fixture
async def backend() -> AsyncIterator[BackendStandIn]:
    """A backend that takes everything, until a test gives it other answers."""
    stand_in = await BackendStandIn().start()
    yield stand_in
    await stand_in.stop()
