"""The catalog plugin `rest`: any catalog that speaks Iceberg's REST protocol, by OAuth2, a bearer token or SigV4.

Tables' metadata come in the catalog's answers, so that no storage and no storage credential is needed.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.typedef import EMPTY_DICT, Properties

from floe_catalog_iceberg.catalog import IcebergCatalogPlugin
from floe_catalog_iceberg.clients import Clients
from floe_catalog_iceberg.failures import KINDS, Failures, tell
from floe_catalog_iceberg.tokens import BearerAuth, ClientCredentials, GivenToken, TokenRequest, Tokens

_DELEGATION = "X-Iceberg-Access-Delegation"
_FAILURES = Failures(KINDS, tell)


class SigV4Config(BaseModel):
    """Signing as AWS does it; without keys, boto3's own chain finds them (IRSA, instance profile, environment)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    service: str = Field(default="execute-api", description="Signing name, e.g. s3tables or glue")
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None


class RestCatalogConfig(BaseModel):
    """`config:` of the plugin in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(description="Base address; what stands before /v1/config")
    warehouse: str | None = Field(default=None, description="The catalog's own name of a warehouse or catalog")
    credential: SecretStr | None = Field(default=None, description="OAuth2 client credentials, id:secret")
    oauth2_server_uri: str | None = Field(default=None, description="Token endpoint; by default <uri>/v1/oauth/tokens")
    scope: str = Field(default="catalog", description="OAuth2 scope")
    audience: str | None = Field(default=None, description="OAuth2 audience")
    resource: str | None = Field(default=None, description="OAuth2 resource")
    token: SecretStr | None = Field(default=None, description="A bearer token, instead of client credentials")
    sigv4: SigV4Config | None = Field(default=None, description="Requests are signed, instead of a token")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request, e.g. Polaris-Realm")
    ca_bundle: Path | None = Field(default=None, description="Certificate authorities of the catalog, PEM")
    timeout_seconds: float = Field(default=10.0, gt=0, le=300, description="Longest wait for each part of an answer")
    nested_namespaces: bool = Field(
        default=True, description="Whether namespaces below namespaces are listed, by one call for each"
    )

    @field_validator("uri", "oauth2_server_uri")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None or "${env:" in value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with http:// or https://")
        if parts.username or parts.password:
            raise ValueError("must hold no credential; use `credential` or `token`")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        given = [name for name in ("credential", "token", "sigv4") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        return self


class RestCatalogPlugin(IcebergCatalogPlugin):
    """Any Iceberg REST catalog."""

    name = "rest"
    version = "0.1.0"
    description = "Tables of any Iceberg REST catalog (Polaris, Nessie, Unity, Lakekeeper, SeaweedFS)"
    config_schema: ClassVar[type[BaseModel] | None] = RestCatalogConfig
    config: RestCatalogConfig | None

    def clients(self, config: RestCatalogConfig) -> Clients:
        """Clients that share one source of tokens."""
        return _clients(config, vends=False)

    def is_nested(self, config: RestCatalogConfig) -> bool:
        """As the configuration says."""
        return config.nested_namespaces

    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:  # noqa: ARG002 - see below
        """What the catalog vends for a table's files, as pyiceberg's `s3.*`, `gcs.*`, `adls.*` properties.

        Empty if it vends nothing. The protocol knows no choice of operations: the catalog decides by its grants.
        """
        config = RestCatalogConfig.model_validate(self._resolved({}))
        clients = _clients(config, vends=True)
        try:
            table = clients.call(f"table {table_path}", lambda client: client.load_table(table_path))
        finally:
            clients.close()
        own = table.metadata.properties
        return {key: str(value) for key, value in table.io.properties.items() if key not in own}


class _NoFiles(FileIO):
    """Stands where pyiceberg wants access to a table's files; keeps what the catalog said of it."""

    def new_input(self, location: str) -> InputFile:
        raise NotImplementedError

    def new_output(self, location: str) -> OutputFile:
        raise NotImplementedError

    def delete(self, location: str | InputFile | OutputFile) -> None:
        raise NotImplementedError


class _BoundedClient(RestCatalog):
    """pyiceberg's client with a timeout and without files; neither can be set from outside in 0.12."""

    def __init__(self, name: str, *, timeout_seconds: float, vends: bool, **properties: Any) -> None:
        self._timeout_seconds = timeout_seconds
        self._vends = vends
        super().__init__(name, **properties)

    def _create_session(self) -> requests.Session:
        session = super()._create_session()
        bounded = partial(session.request, timeout=self._timeout_seconds)
        session.request = bounded  # type: ignore[method-assign] # requests has no default timeout
        if not self._vends:
            # Vending costs the catalog a call to the cloud's token service, and hands out what is not needed.
            session.headers.pop(_DELEGATION, None)
        return session

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:  # noqa: ARG002 - pyiceberg's signature
        return _NoFiles(properties)


def _clients(config: RestCatalogConfig, *, vends: bool) -> Clients:
    tokens = _tokens(config)
    properties = _properties(config, tokens)

    def build() -> RestCatalog:
        return _BoundedClient("floe", timeout_seconds=config.timeout_seconds, vends=vends, **properties)

    where = f"the catalog at {urlsplit(config.uri).netloc}"
    return Clients(where, build, _FAILURES, tokens.forget if tokens else lambda: False)


def _tokens(config: RestCatalogConfig) -> Tokens | None:
    if config.token:
        return GivenToken(config.token.get_secret_value())
    if config.credential is None:
        return None
    client_id, separator, secret = config.credential.get_secret_value().partition(":")
    form = {
        "grant_type": "client_credentials",
        # Iceberg's clients take a credential without a colon for a secret alone.
        **({"client_id": client_id, "client_secret": secret} if separator else {"client_secret": client_id}),
        "scope": config.scope,
        **({"audience": config.audience} if config.audience else {}),
        **({"resource": config.resource} if config.resource else {}),
    }
    return ClientCredentials(
        TokenRequest(
            url=config.oauth2_server_uri or f"{config.uri}/v1/oauth/tokens",
            form=form,
            verify=str(config.ca_bundle) if config.ca_bundle else True,
            timeout_seconds=config.timeout_seconds,
            # They are the catalog's business, and nobody else's.
            headers={} if config.oauth2_server_uri else config.headers,
        )
    )


def _properties(config: RestCatalogConfig, tokens: Tokens | None) -> dict[str, Any]:
    """The configuration in pyiceberg's words."""
    bearer = {
        "type": "custom",
        "impl": f"{BearerAuth.__module__}.{BearerAuth.__name__}",
        "custom": {"tokens": tokens},
    }
    return {
        "uri": config.uri,
        "auth": bearer if tokens else {"type": "noop"},
        **({"warehouse": config.warehouse} if config.warehouse else {}),
        **({"ssl": {"cabundle": str(config.ca_bundle)}} if config.ca_bundle else {}),
        **{f"header.{name}": value for name, value in config.headers.items()},
        **(_signing(config.sigv4) if config.sigv4 else {}),
    }


def _signing(sigv4: SigV4Config) -> Mapping[str, str]:
    keys = {
        "client.access-key-id": sigv4.access_key_id,
        "client.secret-access-key": sigv4.secret_access_key,
        "client.session-token": sigv4.session_token,
    }
    return {
        "rest.sigv4-enabled": "true",
        "rest.signing-region": sigv4.region,
        "rest.signing-name": sigv4.service,
        # Repeating is ours; pyiceberg would try ten times and hide the reason.
        "rest.sigv4.max-retries": "0",
        **{name: key.get_secret_value() for name, key in keys.items() if key},
    }
