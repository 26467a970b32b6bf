"""The OpenLineage *job* namespace of a pod: four strategies and a template of one's own.

| strategy    | namespace                           |
|-------------|-------------------------------------|
| simple      | {tenant}/{product}                  |
| centralized | {organization}/{domain}/{product}   |
| mesh        | domain-{domain}/{product}           |
| environment | floe.{environment}.{domain}         |

REQ-058 asks for the first three, REQ-539 for the fourth. Datasets keep the OpenLineage naming of their data source.
"""

import string
from dataclasses import dataclass
from enum import StrEnum

from floe_core.errors import ConfigurationError

DEFAULT_TENANT = "single-tenant"


class NamespaceStrategy(StrEnum):
    """How a lineage backend or a platform names job namespaces."""

    SIMPLE = "simple"
    CENTRALIZED = "centralized"
    MESH = "mesh"
    ENVIRONMENT = "environment"

    @property
    def template(self) -> str:
        """The format string of the strategy."""
        return _TEMPLATES[self]


_TEMPLATES = {
    NamespaceStrategy.SIMPLE: "{tenant}/{product}",
    NamespaceStrategy.CENTRALIZED: "{organization}/{domain}/{product}",
    NamespaceStrategy.MESH: "domain-{domain}/{product}",
    NamespaceStrategy.ENVIRONMENT: "floe.{environment}.{domain}",
}


@dataclass(frozen=True, slots=True)
class NamespaceParts:
    """What a namespace can be made of; None where it is not known."""

    product: str | None = None
    domain: str | None = None
    environment: str | None = None
    organization: str | None = None
    tenant: str | None = DEFAULT_TENANT


FIELDS = frozenset(NamespaceParts.__dataclass_fields__)


def fields_of(template: str) -> tuple[str, ...]:
    """The fields that a template names, in order.

    Raises:
        ConfigurationError: The template is malformed, empty, or names a field that does not exist.
    """
    try:
        parsed = [
            name for _, name, spec, conversion in string.Formatter().parse(template) if _plain(name, spec, conversion)
        ]
    except ValueError as error:
        raise ConfigurationError(f"The namespace template is malformed: {error}.", remedy=_REMEDY) from None
    fields = tuple(name for name in parsed if name is not None)
    unknown = [name for name in fields if name not in FIELDS]
    if unknown or not template.strip():
        named = "names a field that does not exist" if unknown else "is empty"
        raise ConfigurationError(f"The namespace template {named}.", remedy=_REMEDY)
    return fields


_REMEDY = f"Use the fields {', '.join('{' + name + '}' for name in sorted(FIELDS))}."


def _plain(name: str | None, spec: str | None, conversion: str | None) -> bool:
    if spec or conversion or (name is not None and not name.isidentifier()):
        # Attribute access and format specifications would let a template reach into objects.
        raise ValueError("only plain fields are allowed")
    return name is not None


def job_namespace(template: str, parts: NamespaceParts) -> str:
    """The namespace that a template (of a strategy or one's own) makes of the parts.

    Raises:
        ConfigurationError: A part that the template needs is not known; says which.
    """
    known = {name: value for name in FIELDS if (value := getattr(parts, name))}
    missing = [name for name in fields_of(template) if name not in known]
    if missing:
        raise ConfigurationError(
            f"The lineage namespace needs {', '.join(missing)}.",
            remedy="Set it under `namespaces:` in the manifest, or as an annotation floe.dev/<name> on the pod.",
            details={"missing": missing},
        )
    return template.format(**known)
