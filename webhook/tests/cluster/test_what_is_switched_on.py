"""Only what is switched on runs, asks and costs anything."""

from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.announcements import Silence
from floe_webhook.looking_up import LookingUp, looking_up
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.profile import Profile
from webhook.tests.builders import PROFILE
from webhook.tests.cluster.api_server import client, stand_in

pytestmark = pytest.mark.requirement("HOUSE-3", "BUDGET-1")


@dataclass(frozen=True, slots=True)
class InForce:
    """A manifest in force."""

    profile: Profile = PROFILE


async def switched_on(*enabled: Lookup, **settings: Any) -> LookingUp:
    in_force: Any = InForce()
    async with stand_in() as server, client(server.url) as api:
        return looking_up(
            LookupSettings(enabled=frozenset(enabled), **settings),
            api,
            in_force,
            LookupMetrics(CollectorRegistry()),
            creating=api,
            announcer=Silence(),
        )


async def test_without_a_lookup_nothing_runs_and_no_admission_waits() -> None:
    found = await switched_on(namespace="floe-system")
    assert (found.surroundings, found.followers, found.duties, found.details()) == (None, {}, {}, {})


@pytest.mark.parametrize(
    ("enabled", "followers", "duties", "details"),
    [
        pytest.param(Lookup.NATIVE_SIDECARS, {"kubernetes versions"}, set(), {"kubernetes"}, id="native-sidecars"),
        pytest.param(Lookup.SIDECAR_HEALTH, {"sidecar health"}, {"sidecar probe"}, {"sidecar"}, id="sidecar-health"),
        pytest.param(Lookup.QUOTAS, set(), set(), set(), id="quotas"),
        pytest.param(Lookup.ENV_FROM, set(), set(), set(), id="env-from"),
        pytest.param(Lookup.SECRETS, set(), set(), set(), id="secrets"),
        pytest.param(Lookup.OWNERS, set(), set(), set(), id="owners"),
    ],
)
async def test_each_lookup_runs_what_it_needs(
    enabled: Lookup, followers: set[str], duties: set[str], details: set[str]
) -> None:
    found = await switched_on(enabled, namespace="floe-system")
    assert found.surroundings is not None
    assert (set(found.followers), set(found.duties), set(found.details())) == (followers, duties, details)


async def test_outside_of_a_release_nobody_probes() -> None:
    assert (await switched_on(Lookup.SIDECAR_HEALTH)).duties == {}


async def test_a_kubelets_version_that_is_told_decides_without_any_right() -> None:
    found = await switched_on(oldest_kubelet="1.28")
    assert found.native_sidecars() is False
    assert found.surroundings is not None
