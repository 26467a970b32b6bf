"""What backends that take OpenLineage over HTTP share: their configuration and a job's Helm values.

A backend's address is an origin. A path in it would be doubled or cut when the client joins its endpoint, so the path
is the plugin's business and stands in the transport's `endpoint`.
"""

import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import SecretKey, names_in
from floe_core.namespaces import NamespaceParts, NamespaceStrategy, fields_of, job_namespace
from floe_core.plugin_interfaces.lineage import DEFAULT_ENDPOINT, OpenLineageTransport
from floe_core.plugin_interfaces.metadata import Frozen

_REFERENCE = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")


def origin(url: str) -> str:
    """The origin `scheme://host[:port]` of an address that is nothing more than that, without a closing slash.

    Raises:
        ValueError: It is no http address, or it holds more; the message does not repeat it.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(sign.isspace() for sign in url):
        raise ValueError("give an address such as https://lineage.example.com, without a path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no user and no password; a credential is named as ${env:NAME}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("end the address before its path: the plugin knows the path and joins it itself")
    return f"{parts.scheme}://{parts.netloc}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only here
    except ValueError:  # its message quotes what stands there
        raise ValueError("the host or the port of the address cannot be read") from None
    return parts


def https_origin(url: str) -> str:
    """As `origin`, for a service on the internet: a token does not travel in the clear.

    Raises:
        ValueError: See `origin`; or it is not https.
    """
    only = origin(url)
    if not only.startswith("https://"):
        raise ValueError("write https:// for http://: the token would travel in the clear")
    return only


def credential(text: str) -> str:
    """A reference to one credential.

    Raises:
        ValueError: It is anything else, a credential's value included; the value is not repeated.
    """
    if not _REFERENCE.fullmatch(text):
        raise ValueError("name the credential as ${env:NAME}; its value never stands in the manifest")
    return text


Origin = Annotated[str, AfterValidator(origin)]
HttpsOrigin = Annotated[str, AfterValidator(https_origin)]
Credential = Annotated[str, AfterValidator(credential)]


class HttpBackendConfig(Frozen):
    """The part of `config:` that lineage backends share."""

    url: Origin = Field(description="Origin of the backend: scheme, host and port, without a path")
    timeout: float = Field(default=5.0, gt=0, le=60, description="Seconds per attempt")
    retries: int = Field(default=5, ge=0, le=10, description="Attempts after the first, for 500, 502, 503 and 504")

    def transport(
        self, *, endpoint: str = DEFAULT_ENDPOINT, api_key: str | None = None, batch: bool = False
    ) -> OpenLineageTransport:
        """The client's transport; `api_key` is a reference and is sent as a Bearer token.

        With `batch` the backend takes arrays of events, at the path that the specification gives them.
        """
        return OpenLineageTransport(
            type="http",
            url=self.url,
            endpoint=endpoint,
            batch_endpoint=f"{endpoint.rstrip('/')}/batch" if batch else None,
            auth={"type": "api_key", "apiKey": api_key} if api_key else {},
            timeout=self.timeout,
            # urllib3 counts each kind by itself, too: the client's own limits for the kinds would hold otherwise.
            retry=dict.fromkeys(("total", "connect", "read"), self.retries),
        )


def job_values(
    transport: OpenLineageTransport,
    *,
    artifacts: CompiledArtifacts,
    strategy: NamespaceStrategy,
    environment: str,
    secret: SecretKey,
) -> dict[str, Any]:
    """Values of a job's chart: what the OpenLineage client reads from its environment (lineage.md §1.1).

    Args:
        transport: Where events go; its API key, if it has one, becomes a Secret's key that may be missing: a job
            without lineage is better than no job.
        artifacts: Whose job it is; `lineage_namespace` wins over the strategy, `credentials` over `secret`.
        strategy: Names the namespace where the artifacts' parts suffice; else the variable is left out.
        environment: Deployment environment.
        secret: Where the API key is unless `artifacts.credentials` says so.
    """
    env: list[dict[str, Any]] = [{"name": "OPENLINEAGE_URL", "value": transport.url}]
    if transport.endpoint != DEFAULT_ENDPOINT:
        env.append({"name": "OPENLINEAGE_ENDPOINT", "value": transport.endpoint})
    if (namespace := _namespace(artifacts, strategy, environment)) is not None:
        env.append({"name": "OPENLINEAGE_NAMESPACE", "value": namespace})
    for name in names_in(transport.auth.get("apiKey", "")):
        key = artifacts.credentials.get(name, secret)
        source = {"name": key.secret, "key": key.key, "optional": True}
        env.append({"name": "OPENLINEAGE_API_KEY", "valueFrom": {"secretKeyRef": source}})
    return {"env": env}


def _namespace(artifacts: CompiledArtifacts, strategy: NamespaceStrategy, environment: str) -> str | None:
    if artifacts.lineage_namespace is not None:
        return artifacts.lineage_namespace
    parts = NamespaceParts(
        product=artifacts.identity.product_id, domain=artifacts.identity.domain, environment=environment
    )
    known = all(getattr(parts, name) for name in fields_of(strategy.template))
    return job_namespace(strategy.template, parts) if known else None
