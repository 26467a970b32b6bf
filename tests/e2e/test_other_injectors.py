"""The webhook beside another injector on a real API server, in both orders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.admission import Namespace, in_force, pod
from tests.e2e.cluster.admission_recorder import admission_recorder
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.webhook_configuration import by_url, mutating_webhook_configuration
from tests.e2e.webhook_program import WebhookRunner

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("INV-5", "INV-8")]


@dataclass(frozen=True, slots=True)
class Injector:
    """A webhook, how it is registered under a name, and how often it has been called."""

    configuration: Callable[[str], Manifest]
    calls: Callable[[], float]


@pytest.fixture
def ours(run_webhook: WebhookRunner, tmp_path: Path) -> Iterator[Injector]:
    """The webhook program."""
    with run_webhook(tmp_path) as webhook:
        yield Injector(webhook.configuration, webhook.admissions)


@pytest.fixture
def foreign(serving: KeyPairFiles, authority: Authority, webhook_host: str) -> Iterator[Injector]:
    """Another team's injector, which adds a container."""
    with admission_recorder(serving, webhook_host, {"name": "agent", "image": "e2e.invalid/agent:1"}) as recorder:
        client_of = by_url(recorder.url, authority.certificate_pem)
        yield Injector(lambda name: mutating_webhook_configuration(name, client_of), lambda: len(recorder.calls))


def test_a_pod_is_stored_the_same_whether_another_injector_comes_before_or_after_us(
    namespace: Callable[..., Namespace], kubernetes: KubernetesClient, run_id: str, ours: Injector, foreign: Injector
) -> None:
    run = f"{run_id}-both"
    home = namespace(inject="enabled", run=run)
    # Without a token: the API server gives its volume another name each time.
    both = pod(home, name="both", spec={"automountServiceAccountToken": False})
    stored: list[Manifest] = []

    for first, second in ((foreign, ours), (ours, foreign)):
        # The API server calls webhook configurations in the order of their names.
        with (
            in_force(kubernetes, first.configuration(f"floe-e2e-{run}-1"), run, first.calls),
            in_force(kubernetes, second.configuration(f"floe-e2e-{run}-2"), run, second.calls),
        ):
            stored.append(kubernetes.create(both, dry_run=True))

    foreign_first, ours_first = stored
    assert [container["name"] for container in ours_first["spec"]["containers"]] == ["app", "agent"]
    assert all(container["env"] for container in ours_first["spec"]["containers"])
    assert ours_first["spec"] == foreign_first["spec"]
    assert ours_first["metadata"]["labels"] == foreign_first["metadata"]["labels"]
    assert ours_first["metadata"]["annotations"] == foreign_first["metadata"]["annotations"]
