"""Which cluster a command asks and with whose rights: kubeconfigs of every kind, a pod's own account, or neither."""

import json
import re
import ssl
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from floe_certs.authority import create_authority
from floe_core.errors import ConfigurationError
from floe_webhook.commands.access import cluster_access, connected
from tools.image_requirements import image_locks

pytestmark = pytest.mark.requirement("HOUSE-2", "CC-3.2")

SERVER = "https://192.0.2.1:6443"


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    file = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "sales"}},
            {"name": "two", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    file.write_text(json.dumps(document))
    return file


def login(folder: Path, answer: dict[str, Any] | None) -> dict[str, Any]:
    """A user who logs in by a program, as cloud providers have it; None makes it fail."""
    program = folder / "login"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": answer}
    text = f"print({json.dumps(credential)!r})" if answer is not None else "raise SystemExit('log in again')"
    program.write_text(f"#!{sys.executable}\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(program), "interactiveMode": "Never"}}


def test_a_token_and_the_namespace_of_the_context_are_taken(tmp_path: Path) -> None:
    found = cluster_access(kubeconfig(tmp_path, {"token": "abc"}), None, {})
    assert (found.access.server, found.access.token(), found.title, found.namespace) == (SERVER, "abc", "one", "sales")


def test_another_context_may_be_chosen(tmp_path: Path) -> None:
    found = cluster_access(kubeconfig(tmp_path, {"token": "abc"}), "two", {})
    assert (found.title, found.namespace) == ("two", "default")


def test_a_login_program_gives_the_token(tmp_path: Path) -> None:
    found = cluster_access(kubeconfig(tmp_path, login(tmp_path, {"token": "from-a-program"})), None, {})
    assert found.access.token() == "from-a-program"


def test_a_login_program_that_fails_is_told_and_nobody_is_asked_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Log in to the cluster again"):
        cluster_access(kubeconfig(tmp_path, login(tmp_path, None)), None, {})


def test_a_server_name_and_a_proxy_are_taken(tmp_path: Path) -> None:
    more = {"tls-server-name": "api.example", "proxy-url": "http://proxy.example:3128"}
    found = cluster_access(kubeconfig(tmp_path, {"token": "abc"}, **more), None, {})
    assert (found.access.server_name, found.access.proxy) == ("api.example", "http://proxy.example:3128")


def test_a_certificate_that_nobody_checks_is_the_kubeconfigs_own_wish(tmp_path: Path) -> None:
    found = cluster_access(kubeconfig(tmp_path, {"token": "abc"}, **{"insecure-skip-tls-verify": True}), None, {})
    assert isinstance(found.access.tls, ssl.SSLContext)
    assert found.access.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be used"),
        ("[1, 2]", "cannot be used"),
        ("{apiVersion: v1}", "cannot be used"),
        ("a: [", "cannot be used"),
    ],
    ids=["empty", "a list", "without contexts", "no YAML"],
)
def test_a_file_that_is_no_kubeconfig_is_a_configuration_error(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as raised:
        cluster_access(file, None, {})
    assert str(file) in str(raised.value)


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no context 'three'; there are: one, two"):
        cluster_access(kubeconfig(tmp_path, {"token": "abc"}), "three", {})


def test_a_user_without_credentials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a token nor a client certificate"):
        cluster_access(kubeconfig(tmp_path, {}), None, {})


def test_a_proxy_of_ones_own_machine_needs_no_credentials(tmp_path: Path) -> None:
    found = cluster_access(kubeconfig(tmp_path, {}, server="http://127.0.0.1:8001"), None, {})
    assert (found.access.server, found.access.token()) == ("http://127.0.0.1:8001", None)


def test_the_environment_names_the_kubeconfig(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, {"token": "abc"})
    found = cluster_access(None, None, {"KUBECONFIG": f"{tmp_path / 'missing'}:{file}"})
    assert found.access.token() == "abc"


def test_without_any_of_them_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Give --kubeconfig FILE"):
        cluster_access(None, None, {"KUBECONFIG": str(tmp_path / "missing")})


def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'floe-webhook\[cluster\]'"):
        cluster_access(kubeconfig(tmp_path, {"token": "abc"}), None, {})


def test_the_webhooks_image_goes_without_the_extra() -> None:
    assert not re.search(r"^kubernetes==", image_locks()["webhook"], re.MULTILINE)


def test_in_a_pod_without_an_account_that_is_told(tmp_path: Path) -> None:
    environment = {"KUBECONFIG": str(tmp_path / "missing"), "KUBERNETES_SERVICE_HOST": "192.0.2.1"}
    with pytest.raises(ConfigurationError, match="service account"):
        cluster_access(None, None, environment)


async def test_a_client_certificate_is_shown_to_the_server(tmp_path: Path) -> None:
    authority = trustme.CA()
    serving, client = authority.issue_cert("127.0.0.1"), authority.issue_cert(common_name="me")
    files = {"client-certificate": tmp_path / "me.crt", "client-key": tmp_path / "me.key"}
    client.cert_chain_pems[0].write_to_path(files["client-certificate"])
    client.private_key_pem.write_to_path(files["client-key"])
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    serving.configure_cert(tls)

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        return web.json_response({"subject": str(subject)})

    application = web.Application()
    application.router.add_get("/who", who)
    server = TestServer(application, scheme="https", shutdown_timeout=0.1)
    await server.start_server(ssl=tls)
    try:
        file = kubeconfig(
            tmp_path,
            {name: str(path) for name, path in files.items()},
            server=str(server.make_url("")).rstrip("/"),
            **{"certificate-authority": "ca.crt"},
        )
        async with connected(cluster_access(file, None, {}).access) as api:
            found = await api.read("/who")
    finally:
        await server.close()

    assert found is not None
    assert "me" in found["subject"]


def test_a_key_that_does_not_fit_is_told_and_never_shown(tmp_path: Path) -> None:
    one, other = (create_authority(name, now=datetime.now(UTC)) for name in ("one", "other"))
    (tmp_path / "me.crt").write_bytes(one.certificate_pem)
    (tmp_path / "me.key").write_bytes(other.key_pem)
    user = {"client-certificate": str(tmp_path / "me.crt"), "client-key": str(tmp_path / "me.key")}
    with pytest.raises(ConfigurationError, match="cannot be used") as raised:
        cluster_access(kubeconfig(tmp_path, user), None, {})
    assert other.key_pem.decode()[40:80] not in str(raised.value)
