"""Small builders of raw pods and profiles, with good defaults."""

from collections.abc import Mapping
from typing import Any

from floe_core.artifacts import CompiledArtifacts
from floe_core.manifest.models import Manifest
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces.lineage import LineageBackendPlugin, OpenLineageTransport
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig, TelemetryBackendPlugin
from floe_webhook.decision import Facts
from floe_webhook.injection import Injection, inject
from floe_webhook.profile import Profile, compile_profile
from floe_webhook.surroundings import Surroundings

Pod = dict[str, Any]


def env(variables: Mapping[str, str | Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """A container's `env`: a text is a value, a mapping is `valueFrom`, None is a name alone."""
    entries: list[dict[str, Any]] = []
    for name, value in variables.items():
        if value is None:
            entries.append({"name": name})
        else:
            entries.append(
                {"name": name, "value": value} if isinstance(value, str) else {"name": name, "valueFrom": value}
            )
    return entries


def container(name: str = "app", *, variables: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A container; without variables it has no `env` at all."""
    found: dict[str, Any] = {"name": name, "image": "registry.example:5000/team/app:1.2.3"}
    if variables is not None:
        found["env"] = env(variables)
    return found | fields


def owner(kind: str, name: str) -> dict[str, Any]:
    """A controlling owner reference."""
    return {"apiVersion": "batch/v1", "kind": kind, "name": name, "uid": "0-0", "controller": True}


def pod(
    *containers: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owned_by: Mapping[str, Any] | None = None,
    name: str | None = "load-orders",
    **spec: Any,
) -> Pod:
    """A pod that opted in by its own label."""
    metadata: dict[str, Any] = {"labels": {"floe.dev/inject": "enabled", **(labels or {})}}
    if name is not None:
        metadata["name"] = name
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    if owned_by is not None:
        metadata["ownerReferences"] = [dict(owned_by)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [dict(entry) for entry in containers] or [container()], **spec},
    }


class SomeTelemetryBackend(TelemetryBackendPlugin):
    """A telemetry backend as the interface describes it."""

    name = "some-telemetry"
    version = "1.0.0"
    exporter = OTLPExporterConfig(endpoint="https://otlp.example", protocol="http/protobuf")

    def get_otlp_exporter_config(self, _environment: str) -> OTLPExporterConfig:
        return self.exporter

    def get_helm_values(self, _artifacts: CompiledArtifacts, _environment: str) -> dict[str, Any]:
        return {}

    def validate_connection(self, _config: OTLPExporterConfig) -> bool:
        return True


class SomeLineageBackend(LineageBackendPlugin):
    """A lineage backend as the interface describes it."""

    name = "some-lineage"
    version = "1.0.0"
    transport = OpenLineageTransport(
        url="https://lineage.example/base/", auth={"type": "api_key", "apiKey": "${env:LINEAGE_KEY}"}
    )

    def get_transport_config(self, _environment: str) -> OpenLineageTransport:
        return self.transport

    def get_namespace_strategy(self) -> NamespaceStrategy:
        return NamespaceStrategy.SIMPLE

    def get_helm_values(self, _artifacts: CompiledArtifacts, _environment: str) -> dict[str, Any]:
        return {}

    def validate_connection(self, _config: OpenLineageTransport) -> bool:
        return True


CREDENTIALS = {
    "LINEAGE_KEY": {"secret": "lineage-credentials", "key": "token"},
    "DD_API_KEY": {"secret": "telemetry-credentials", "key": "api-key"},
}


def manifest(**sections: Any) -> Manifest:
    """A manifest with both backends and their credentials."""
    content: dict[str, Any] = {
        "apiVersion": "floe.dev/v1",
        "kind": "Manifest",
        "metadata": {"name": "platform"},
        "plugins": {
            "telemetry_backend": {"type": "some-telemetry"},
            "lineage_backend": {"type": "some-lineage"},
        },
        "credentials": CREDENTIALS,
    }
    return Manifest.model_validate(content | sections)


def profile(
    *,
    exporter: OTLPExporterConfig | None = None,
    transport: OpenLineageTransport | None = None,
    telemetry: bool = True,
    lineage: bool = True,
    release_namespace: str | None = "floe-system",
    **sections: Any,
) -> Profile:
    """A compiled manifest; `sections` are those of the manifest."""
    telemetry_plugin, lineage_plugin = SomeTelemetryBackend(), SomeLineageBackend()
    if exporter is not None:
        telemetry_plugin.exporter = exporter
    if transport is not None:
        lineage_plugin.transport = transport
    return compile_profile(
        manifest(**sections),
        telemetry=telemetry_plugin if telemetry else None,
        lineage=lineage_plugin if lineage else None,
        release_namespace=release_namespace,
    )


PROFILE = profile()


def injected(document: Pod, *, by: Profile = PROFILE, namespace: str = "sales", **surroundings: Any) -> Injection:
    """What happens to a pod that the API server is about to create in a namespace."""
    return inject(Facts(document, namespace, None, Surroundings(**surroundings)), by)
