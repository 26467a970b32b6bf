"""What sidecars are told about their way to a backend, and about what must not leave the pod."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from floe_core.manifest.sections import CredentialSource, KubernetesName, SecretKeyName, Section, Url


def _address_of_a_proxy(url: str) -> str:
    parts = urlsplit(url)  # `Url` has read it before
    if parts.scheme != "http" or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("a proxy is an http:// address without a path, such as http://proxy.example:3128")
    return url


ProxyAddress = Annotated[Url, AfterValidator(_address_of_a_proxy)]
DirectHost = Annotated[str, Field(pattern=r"^[^\s,$]{1,255}$")]


class Proxy(Section):
    """The proxies that sidecars send over; applications are not told of them."""

    http: ProxyAddress | None = Field(default=None, description="For http, e.g. http://proxy.example:3128")
    https: ProxyAddress | None = Field(default=None, description="For https; itself an http:// address")
    no_proxy: tuple[DirectHost, ...] = Field(
        default=(".svc", ".cluster.local"),
        description="Names, addresses and ranges that are reached directly, with a port if one is meant",
    )
    user: CredentialSource | None = Field(
        default=None, description="For a proxy that asks for one; the key holds `user:password`"
    )


class BackendTls(Section):
    """TLS to a backend: keys of a Secret in the pod's namespace. A rotated Secret is used without a restart."""

    secret: Annotated[KubernetesName, Field(description="Name of the Secret")]
    ca: SecretKeyName | None = Field(default=None, description="Authorities, e.g. ca.crt; without it the system's")
    certificate: SecretKeyName | None = Field(default=None, description="The sidecar's own certificate, e.g. tls.crt")
    key: SecretKeyName | None = Field(default=None, description="Its private key, e.g. tls.key, without a password")

    @model_validator(mode="after")
    def _is_of_some_use(self) -> Self:
        if self.ca is None and self.certificate is None:
            raise ValueError("give `ca`, or `certificate` and `key`, or all three")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` go together")
        return self


def _names_something(text: str) -> str:
    if not re.search(r"[A-Za-z0-9]", text):
        raise ValueError("a name or prefix has a letter or a digit: without one it would be found everywhere")
    return text


Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,64}$"), AfterValidator(_names_something)]


class Redaction(Section):
    """What the sidecar takes out of events before it stores them."""

    enabled: bool = Field(
        default=True, description="Whether credentials are masked in names, URLs, SQL and error messages"
    )
    names: Annotated[tuple[Word, ...], Field(max_length=64)] = Field(
        default=(), description="Further names, or parts of names, whose values are secret, e.g. x-acme-session"
    )
    prefixes: Annotated[tuple[Word, ...], Field(max_length=64)] = Field(
        default=(), description="Beginnings of secrets, e.g. acme_pat_; what follows up to the token's end is masked"
    )
