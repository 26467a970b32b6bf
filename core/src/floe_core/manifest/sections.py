"""What all sections of the manifest are made of: a strict model, and the types of names, quantities and addresses."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

_DNS_SUBDOMAIN = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_SECRET_KEY = r"^[A-Za-z0-9._-]{1,253}$"  # noqa: S105 - a pattern
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"

KubernetesName = Annotated[str, Field(pattern=_DNS_SUBDOMAIN)]
SecretKeyName = Annotated[str, Field(pattern=_SECRET_KEY)]
Quantity = Annotated[str, Field(pattern=_QUANTITY, description="A Kubernetes quantity, e.g. 250m or 64Mi")]
Port = Annotated[int, Field(ge=1, le=65535)]


def _without_user(url: str) -> str:
    """An address as it may stand in a pod, where everybody reads it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message quotes what stands there
        raise ValueError("the host cannot be read, or the port is no number up to 65535") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no user and no password: every pod would show them")
    return url


Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$"), AfterValidator(_without_user)]


class Section(BaseModel):
    """A strict, frozen section: an unknown key is an error, not a silent no-op."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CredentialSource(Section):
    """Where a pod gets a credential from: a key of a Secret in the pod's own namespace."""

    secret: Annotated[KubernetesName, Field(description="Name of the Secret")]
    key: Annotated[SecretKeyName, Field(description="Key in the Secret")]
