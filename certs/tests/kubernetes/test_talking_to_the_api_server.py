"""Paths, documents and answers: what the API server in memory does, the real one does, too (end-to-end tests)."""

import pytest

from certs.tests.api_server import CONFIGURATION, OBJECTS, SECRET, InMemoryApi
from certs.tests.kubernetes_contract import BUNDLE, ENTRIES, RULES, Rule
from floe_certs.api import RefusedError, UnreachableError
from floe_certs.kubernetes import Answer, ClusterApi, Document

pytestmark = pytest.mark.requirement("FP-9", "FP-10", "HOUSE-11")


def cluster_api(server: InMemoryApi) -> ClusterApi:
    server.configure_webhooks(*ENTRIES)
    return ClusterApi(server.request, OBJECTS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_the_contract_holds(rule: Rule) -> None:
    await rule(cluster_api(InMemoryApi()))


async def test_the_bundle_belongs_to_our_field_manager_even_if_somebody_else_wrote_it() -> None:
    server = InMemoryApi()
    api = cluster_api(server)
    server.objects[CONFIGURATION]["metadata"]["managedFields"] = {ENTRIES[0]: "kubectl-edit"}
    server.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
    live = await api.read_trust()
    assert live is not None

    await api.apply_trust(BUNDLE, live)

    owners = server.objects[CONFIGURATION]["metadata"]["managedFields"]
    assert owners == dict.fromkeys(ENTRIES, "floe-certs")


async def test_a_secret_that_a_chart_made_keeps_its_labels() -> None:
    server = InMemoryApi()
    api = cluster_api(server)
    server.put(SECRET, {"metadata": {"name": "floe-webhook-tls", "labels": {"app": "floe"}}, "type": "Opaque"})
    stored = await api.read_secret()
    assert stored is not None
    assert stored.data == {}

    await api.write_secret({"tls.crt": b"x"}, stored)

    assert server.objects[SECRET]["metadata"]["labels"] == {"app": "floe"}


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
async def test_what_may_succeed_later_is_told_apart_from_a_refusal(status: int) -> None:
    async def request(*_: object, **__: object) -> Answer:
        return Answer(status, {"reason": "ServiceUnavailable"})

    with pytest.raises(UnreachableError, match=str(status)):
        await ClusterApi(request, OBJECTS).read_secret()


async def test_a_refusal_names_verb_and_object_and_quotes_nothing_of_a_secret() -> None:
    async def request(method: str, path: str, *, body: Document | None, **_: object) -> Answer:
        assert (method, body is not None) == ("POST", True)
        return Answer(422, {"reason": "Invalid", "message": f"{path}: Invalid value: {body}"})

    with pytest.raises(RefusedError) as refused:
        await ClusterApi(request, OBJECTS).write_secret({"tls.key": b"a private key"}, None)

    assert str(refused.value) == "POST /api/v1/namespaces/floe/secrets: 422 Invalid"
