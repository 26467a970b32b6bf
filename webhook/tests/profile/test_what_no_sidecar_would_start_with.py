"""A manifest that no sidecar would start with is refused before any pod is told of it, and its values are not shown."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from floe_core.errors import ConfigurationError
from floe_webhook.reload import read_profile

pytestmark = pytest.mark.requirement("HOUSE-3", "HOUSE-8")

EXAMPLE = Path(__file__).parents[3] / "examples" / "manifest.yaml"


def manifest(folder: Path, injection: dict[str, Any], lineage: dict[str, Any] | None = None) -> Path:
    """The example's manifest with changes."""
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load(EXAMPLE)
    document["injection"] |= injection
    document["plugins"]["lineage_backend"]["config"] |= lineage or {}
    file = folder / "manifest.yaml"
    yaml.dump(document, file)
    return file


def collector(endpoint: str) -> dict[str, Any]:
    return {"telemetry": "collector", "collector": {"endpoint": endpoint, "protocol": "http/protobuf"}}


def proxy(**given: Any) -> dict[str, Any]:
    return {"sidecar": {"image": f"registry.example/sidecar@sha256:{'0' * 64}", "proxy": given}}


@pytest.mark.parametrize(
    ("injection", "place", "unsaid"),
    [
        pytest.param(collector("http://otel:4318/?tenant=s3cret"), "injection.collector", "s3cret", id="a query"),
        pytest.param(collector("http://ötel:4318"), "injection.collector", "ötel", id="a collector not in ASCII"),
        pytest.param({"gateway": {"url": "http://:80"}}, "injection.gateway", ":80", id="a gateway without a host"),
        pytest.param(proxy(http="http://prøxy:3128"), "injection.sidecar.proxy", "prøxy", id="a proxy not in ASCII"),
        pytest.param(proxy(https="http://px:0"), "injection.sidecar.proxy", "px", id="a proxy's port 0"),
        pytest.param(
            proxy(http="http://p:1", no_proxy=["a\u200b"]),
            "injection.sidecar.proxy",
            "\u200b",
            id="an unseen character",
        ),
        pytest.param({"sidecar": {"spool_size": "1Ki"}}, "injection.sidecar", "1Ki", id="a spool for nothing"),
    ],
)
def test_it_is_refused_with_the_place_and_without_the_value(
    tmp_path: Path, injection: dict[str, Any], place: str, unsaid: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_profile(manifest(tmp_path, injection))

    assert place in str(refused.value)
    assert "No sidecar would start" in str(refused.value)
    assert unsaid not in str(refused.value)


def test_a_lineage_backend_that_no_sidecar_reaches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No sidecar would start"):
        read_profile(manifest(tmp_path, {}, {"url": "http://marquez:0"}))


def test_without_a_sidecar_what_it_would_refuse_is_no_reason(tmp_path: Path) -> None:
    refused = {"sidecar": {"enabled": False, "spool_size": "1Ki"}}
    assert not read_profile(manifest(tmp_path, refused)).rules.sidecar_enabled


def test_what_kubernetes_would_take_for_a_reference_is_no_reason(tmp_path: Path) -> None:
    tags = {"enrichment": {"run_tags": {" ": "$(HOME)", "é,=%": '$$ "'}, "replaced_namespaces": [" ", "a,b"]}}
    assert read_profile(manifest(tmp_path, tags)).sidecar is not None
