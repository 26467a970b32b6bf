"""Reading the kubeconfig of an existing cluster: what is understood, and what is said when it is not."""

from pathlib import Path

import pytest

from tests.e2e.cluster.certificates import Authority
from tests.e2e.cluster.kubeconfig import KubeconfigError, certificate_kubeconfig, read_access

pytestmark = pytest.mark.requirement("CC-6.1")

SERVER = "https://192.0.2.1:6443"


def _kubeconfig(folder: Path, user: str, context: str = "one") -> Path:
    path = folder / "config"
    path.write_text(
        f"""\
current-context: {context}
contexts:
  - name: one
    context: {{cluster: one, user: me}}
clusters:
  - name: one
    cluster: {{server: "{SERVER}", certificate-authority: ca.crt}}
users:
  - name: me
    user: {user}
"""
    )
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority whose certificate lies beside the kubeconfig, as `ca.crt`."""
    return Authority.create(tmp_path)


def test_what_we_write_is_what_we_read(authority: Authority, tmp_path: Path) -> None:
    client = authority.client("admin", user="admin", groups=["system:masters"])
    certificate_kubeconfig(tmp_path / "written", SERVER, authority.certificate_file, client)

    access = read_access(tmp_path / "written")

    assert (access.server, access.token) == (SERVER, None)
    assert [one["subject"] for one in access.tls.get_ca_certs()] == [((("commonName", "floe e2e authority"),),)]


def test_only_its_owner_reads_what_we_write(authority: Authority, tmp_path: Path) -> None:
    client = authority.client("admin", user="admin")

    certificate_kubeconfig(tmp_path / "written", SERVER, authority.certificate_file, client)

    assert (tmp_path / "written").stat().st_mode & 0o077 == 0
    assert client.key.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("authority")
def test_a_users_token_and_an_authority_beside_the_file_are_understood(tmp_path: Path) -> None:
    access = read_access(_kubeconfig(tmp_path, "{token: secret}"))

    assert (access.server, access.token) == (SERVER, "secret")
    assert len(access.tls.get_ca_certs()) == 1


@pytest.mark.usefixtures("authority")
def test_a_user_who_logs_in_by_a_program_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = _kubeconfig(tmp_path, "{exec: {command: cloud-login}}")

    with pytest.raises(KubeconfigError, match="neither a client certificate nor a token; make a kubeconfig with one"):
        read_access(path)


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = _kubeconfig(tmp_path, "{token: secret}", context="two")

    with pytest.raises(KubeconfigError, match="no entry 'two' under `contexts`"):
        read_access(path)
