"""Which proxy a request goes over, by the variables that the field has agreed on. Pure.

`HTTPS_PROXY` is for https, `HTTP_PROXY` for plain http, `NO_PROXY` names what goes directly, read as Go reads it
(golang.org/x/net/http/httpproxy), which most programs of a cluster are written in:

| entry | goes directly |
|---|---|
| `*` | everything |
| `example.com` | this name and the names below it |
| `.example.com`, `*.example.com` | the names below it only |
| `10.0.0.7`, `fd00::1` | this address, written as an address in the URL: names are not resolved for it |
| `10.0.0.0/8` | addresses of the range |
| any of the names and addresses with `:8080` | on this port only |

`localhost` and loopback addresses always go directly.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_HTTPS_PORT = 443
_HTTP_PORT = 80
_PORT = re.compile(r":([0-9]{1,5})$")


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """The three variables; an address may hold `user:password`."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: str = ""

    def proxy_for(self, url: str) -> Proxy | None:
        """What a request to the URL goes over; None if it goes directly."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        address = self.https if secure else self.http
        host = (parts.hostname or "").rstrip(".")
        if not address or goes_directly(host, parts.port or (_HTTPS_PORT if secure else _HTTP_PORT), self.no_proxy):
            return None
        proxy = urlsplit(address)
        user = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}" if proxy.username else ""
        return Proxy(proxy.hostname or "", proxy.port or _HTTP_PORT, user)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `user` is `user:password`, or empty."""

    host: str
    port: int
    user: str = field(default="", repr=False)


def authorization(user: str) -> str:
    """The header line that names the user to a proxy (RFC 7617), with its line break; nothing for nobody."""
    return f"Proxy-Authorization: Basic {b64encode(user.encode()).decode()}\r\n" if user else ""


def goes_directly(host: str, port: int, no_proxy: str) -> bool:
    """Whether `NO_PROXY` takes requests to the host and port off the proxy.

    Args:
        host: A name or an address, lower case, without brackets.
        port: The one that is connected to.
        no_proxy: Entries with commas or spaces between them.
    """
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = (entry.lower() for entry in re.split(r"[,\s]+", no_proxy) if entry)
    return any(_covers(entry, host, address, port) for entry in entries)


def _covers(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_within(address, entry)
    name = entry
    if _address(entry) is None and (match := _PORT.search(entry)) is not None:
        if int(match[1]) != port:
            return False
        name = entry[: match.start()]
    name = name.removeprefix("[").removesuffix("]")
    if address is not None:
        return _address(name) == address
    name = name.removeprefix("*").rstrip(".")
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _is_within(address: IPv4Address | IPv6Address, network: str) -> bool:
    import ipaddress  # noqa: PLC0415 - few pods have a proxy

    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(text: str) -> IPv4Address | IPv6Address | None:
    import ipaddress  # noqa: PLC0415 - as above

    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
