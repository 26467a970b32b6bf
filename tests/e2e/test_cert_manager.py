"""The chart with cert-manager: the real controllers sign and renew, and nobody who calls the webhook notices."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.admission import RUN_LABEL, Namespace
from tests.e2e.cluster.binaries import program as program_of_the_test_bed
from tests.e2e.cluster.cert_manager import cert_manager
from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.helm import Helm
from tests.e2e.webhook_load import Load, in_force, under
from tests.e2e.webhook_release import Release, administrator, write_service_account
from webhook.tests.serving.program import Program, program
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.waiting import eventually, until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-8", "FP-9", "FP-10", "FP-24", "HOUSE-11")]

NamespaceMaker = Callable[..., Namespace]

PODS, HANDSHAKES = 50, 10
PATIENCE_SECONDS = 90.0
ISSUER, AUTHORITY = "platform", "platform-authority"
_API = "cert-manager.io/v1"
_OF_THE_KUBELET = ("--manifest", "--host", "--port", "--health-port", "--gateway-token-file", "--log-format")
"""Flags of the Deployment that name files and ports of a pod."""


@pytest.fixture(scope="module")
def issuing(test_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with cert-manager."""
    if not test_cluster.is_ours:
        pytest.skip("an existing cluster is used: it may have a cert-manager of its own")
    with cert_manager(tmp_path_factory.mktemp("cert-manager"), test_cluster):
        yield test_cluster


@dataclass(slots=True)
class Installation:
    """The chart's objects, an Issuer, and two replicas of the Deployment as programs."""

    release: Release
    load: Load
    replicas: list[Program]
    certificate: str

    async def secret(self, name: str) -> dict[str, bytes]:
        """What is in a Secret of the release's namespace."""
        found = await self.release.api.read(f"/api/v1/namespaces/{self.release.namespace}/secrets/{name}")
        return {key: base64.b64decode(value) for key, value in ((found or {}).get("data") or {}).items()}

    async def renew(self, certificate: str) -> None:
        """Has cert-manager issue it again, as `cmctl renew` asks; returns when it has."""
        path = f"/apis/{_API}/namespaces/{self.release.namespace}/certificates/{certificate}"
        before = await self.release.api.read(path)
        assert before is not None
        issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by hand"}
        status = {**before["status"], "conditions": [*before["status"]["conditions"], issuing]}
        answer = await self.release.api("PUT", f"{path}/status", body={**before, "status": status})
        assert answer.status == 200, answer.document

        async def issued() -> bool:
            now = await self.release.api.read(path)
            return now is not None and now["status"].get("revision", 0) > before["status"]["revision"]

        await eventually(issued, f"{certificate} issued again", seconds=PATIENCE_SECONDS)

    async def served(self) -> set[bytes]:
        """The certificates that the replicas show, in DER."""
        found = set()
        for replica in self.replicas:
            _, writer = await asyncio.open_connection("127.0.0.1", replica.port, ssl=_unverified())
            found.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
        return found

    async def wait_until_served(self) -> None:
        """Returns when every replica shows the certificate that cert-manager has written."""

        async def is_served() -> bool:
            secret = await self.secret(self.certificate)
            return await self.served() == {_der(secret["tls.crt"])}

        await eventually(is_served, "the new certificate served", seconds=PATIENCE_SECONDS)

    async def trusted(self) -> list[set[bytes]]:
        """The authorities in each entry's caBundle, in DER."""
        bundles = [base64.b64decode(bundle) for bundle in await self.release.bundles()]
        return [{_der_of(one) for one in x509.load_pem_x509_certificates(bundle)} for bundle in bundles]


@pytest.fixture
async def installation(
    issuing: Cluster, namespace: NamespaceMaker, run_id: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    """Everything as the chart renders it, but for the way to the webhook, which runs beside the API server."""
    home, sales = namespace(), namespace()
    name = f"floe-{home.name[-10:]}"
    values = {
        "fullnameOverride": name,
        "certificates": {"source": "cert-manager", "issuerRef": {"name": ISSUER}, "settle": "1s", "poll": "1s"},
    }
    objects = Helm(tmp_path, release=name, namespace=home.name).template(values, "--no-hooks")
    async with AsyncExitStack() as parts:
        entrance = await parts.enter_async_context(switch())
        _lead_to(entrance.port, objects, run_id)
        _apply(issuing, [*_issuers(home.name), *objects])
        parts.callback(_delete_what_is_cluster_wide, issuing, objects)
        folder = tmp_path / "serviceaccount"
        folder.mkdir()
        webhook = f"{name}-webhook"
        environment = await write_service_account(issuing, home.name, webhook, folder)
        api = await parts.enter_async_context(administrator(issuing))
        release = Release(api, home.name, name, folder, environment, server_name=f"{webhook}.{home.name}.svc")
        flags = (*_flags(objects, webhook), "--release-namespace", home.name, "--service-account", folder)
        started = [
            program(tmp_path / f"{number}.log", *flags, "--pod-name", number, environment=environment)
            for number in ("first", "second")
        ]
        replicas = list(await asyncio.gather(*(parts.enter_async_context(one) for one in started)))
        await _wait_for_both(entrance, replicas)
        made = Installation(release, Load(release, sales), replicas, f"{webhook}-certificate")
        await in_force(made.load)
        yield made


async def test_a_renewed_certificate_and_a_replaced_authority_are_followed_and_nobody_is_refused(
    installation: Installation,
) -> None:
    load, leaf = installation.load, installation.certificate.removesuffix("-certificate")
    first = await installation.served()
    (old_authority,) = (await installation.trusted())[0]
    assert await installation.trusted() == [{old_authority}] * 2
    assert _der((await installation.secret(AUTHORITY))["tls.crt"]) == old_authority

    async with under(load, asyncio.ensure_future(load.shake_hands(installation.replicas))):
        await installation.renew(leaf)
        await installation.wait_until_served()
        second = await installation.served()

        await installation.renew(AUTHORITY)
        await installation.renew(leaf)
        await installation.wait_until_served()
        third = await installation.served()
        await load.more(PODS)
        await until(lambda: load.handshakes >= HANDSHAKES, "enough handshakes")
        trusted = await installation.trusted()

    assert (load.failed, load.unanswered, load.not_injected) == ([], 0, [])
    assert len(first | second | third) == 3
    new_authority = _der((await installation.secret(AUTHORITY))["tls.crt"])
    # The old one stays until its last certificate has ended: a replica or a client may still hold to it.
    assert trusted == [{old_authority, new_authority}] * 2
    assert [one.process.returncode for one in installation.replicas] == [None, None]
    assert not [line for one in installation.replicas for line in one.events() if line["level"] == "error"]


def _lead_to(port: int, objects: list[Manifest], run_id: str) -> None:
    """Has the API server call a port of this machine, by the Service's name, for pods of this run alone."""
    for one in objects:
        if one["kind"] == "Service" and one["metadata"]["name"].endswith("-webhook"):
            one["spec"] = {"type": "ExternalName", "externalName": "127.0.0.1"}
        if one["kind"] == "MutatingWebhookConfiguration":
            for entry in one["webhooks"]:
                entry["clientConfig"]["service"]["port"] = port
                mine = {"key": RUN_LABEL, "operator": "In", "values": [run_id]}
                entry["namespaceSelector"]["matchExpressions"].append(mine)


def _issuers(namespace: str) -> list[Manifest]:
    """An authority that signs itself, and the Issuer that signs with it."""
    metadata: dict[str, Any] = {"namespace": namespace}
    return [
        {
            "apiVersion": _API,
            "kind": "Issuer",
            "metadata": metadata | {"name": "self-signed"},
            "spec": {"selfSigned": {}},
        },
        {
            "apiVersion": _API,
            "kind": "Certificate",
            "metadata": metadata | {"name": AUTHORITY},
            "spec": {
                "isCA": True,
                "commonName": AUTHORITY,
                "secretName": AUTHORITY,
                "issuerRef": {"name": "self-signed"},
            },
        },
        {
            "apiVersion": _API,
            "kind": "Issuer",
            "metadata": metadata | {"name": ISSUER},
            "spec": {"ca": {"secretName": AUTHORITY}},
        },
    ]


def _kubectl(cluster: Cluster, objects: list[Manifest], *command: str) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl = [str(program_of_the_test_bed("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]
    run([*kubectl, *command, "--filename=-"], standard_input=text)


def _apply(cluster: Cluster, objects: list[Manifest]) -> None:
    _kubectl(cluster, objects, "apply", "--server-side", "--validate=strict", "--field-manager=helm")


def _delete_what_is_cluster_wide(cluster: Cluster, objects: list[Manifest]) -> None:
    _kubectl(cluster, [one for one in objects if "namespace" not in one["metadata"]], "delete", "--wait=false")


def _flags(objects: list[Manifest], webhook: str) -> Sequence[str]:
    """Those of the Deployment that do not name what only a pod has."""
    (deployment,) = (one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == webhook)
    (container,) = (one for one in deployment["spec"]["template"]["spec"]["containers"] if one["name"] == "webhook")
    return [flag for flag in container["args"] if flag.partition("=")[0] not in _OF_THE_KUBELET]


async def _wait_for_both(entrance: Switch, replicas: list[Program]) -> None:
    entrance.replicas = list(replicas)
    await until(lambda: len(entrance.ready) == len(replicas), "both ready", seconds=PATIENCE_SECONDS)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _der(pem: bytes) -> bytes:
    return _der_of(x509.load_pem_x509_certificate(pem))


def _der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
