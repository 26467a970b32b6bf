"""Reading and writing kubeconfig files, as far as test clusters need them: client certificates and tokens."""

import base64
import json
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.cluster.certificates import Authority, KeyPairFiles


class KubeconfigError(Exception):
    """A kubeconfig lacks what is needed; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, and what proves who asks."""

    server: str
    tls: ssl.SSLContext
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Identities:
    """Gives each part of a cluster a certificate and the kubeconfig with it."""

    authority: Authority
    server: str
    """The API server's URL."""

    def kubeconfig(self, name: str, *, user: str, groups: Sequence[str] = ()) -> Path:
        """A new kubeconfig, beside the authority's certificate, by which the API server knows a user and its groups."""
        path = self.authority.folder / f"{name}.kubeconfig"
        client = self.authority.client(name, user=user, groups=groups)
        certificate_kubeconfig(path, self.server, self.authority.certificate_file, client)
        return path


def certificate_kubeconfig(path: Path, server: str, authority_file: Path, client: KeyPairFiles) -> None:
    """Writes a kubeconfig for a client certificate; it holds copies of the files that it is given."""
    name = "floe-e2e"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(authority_file)}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encoded(client.certificate),
                    "client-key-data": _encoded(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")  # JSON is YAML


def read_access(path: Path) -> Access:
    """The access that a kubeconfig's current context gives.

    Raises:
        KubeconfigError: A part is missing, or the user logs in by a program (`exec`), which tests do not run.
    """
    document = YAML(typ="safe", pure=True).load(path)
    context = _named(document, "contexts", "context", document.get("current-context"), path)
    server = _named(document, "clusters", "cluster", context["cluster"], path)
    user = _named(document, "users", "user", context["user"], path)
    tls = ssl.create_default_context()
    if authority := _pem(server, "certificate-authority", path):
        tls = ssl.create_default_context(cadata=authority.decode())
    certificate, key = _pem(user, "client-certificate", path), _pem(user, "client-key", path)
    token = user.get("token")
    if certificate and key:
        _load(tls, certificate, key)
    elif token is None:
        raise KubeconfigError(
            f"the user of {path} has neither a client certificate nor a token; make a kubeconfig with one"
        )
    return Access(server["server"], tls, token)


def _named(document: dict[str, Any], section: str, key: str, name: str | None, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry["name"] == name:
            found: dict[str, Any] = entry[key]
            return found
    raise KubeconfigError(f"{path} has no entry {name!r} under `{section}`")


def _pem(entry: dict[str, Any], key: str, path: Path) -> bytes | None:
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(str(data))
    if name := entry.get(key):
        return (path.parent / str(name)).read_bytes()  # kubeconfig: relative to the file that names it
    return None


def _load(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only; this one is ours alone
        file.write(certificate + b"\n" + key)
        file.flush()
        tls.load_cert_chain(file.name)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
