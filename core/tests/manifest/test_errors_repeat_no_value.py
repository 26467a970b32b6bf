"""Whatever is pasted into a manifest, and wherever, no error about it says it again: it may be a credential."""

import json
import traceback
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.errors import FloeError
from floe_core.lineage.backend import https_origin
from floe_core.manifest import parse_manifest
from floe_core.manifest.checking import plugin_problems
from floe_core.plugin_interfaces import PluginRegistry

pytestmark = pytest.mark.requirement("HOUSE-7", "HOUSE-8")

MANIFEST: dict[str, Any] = {
    "apiVersion": "floe.dev/v1",
    "kind": "Manifest",
    "metadata": {"name": "acme", "version": "1.0.0", "owner": "data@acme.example"},
    "plugins": {
        "telemetry_backend": {"type": "jaeger", "config": {"endpoint": "jaeger.observability.svc:4317"}},
        "lineage_backend": {
            "type": "marquez",
            "config": {"url": "http://marquez:5000", "api_key": "${env:MARQUEZ_API_KEY}"},
        },
        "alert_channels": [{"type": "webhook", "name": "oncall", "config": {"url": "https://oncall.example/hook"}}],
    },
    "credentials": {"MARQUEZ_API_KEY": {"secret": "marquez", "key": "api-key"}},
    "namespaces": {"template": "{tenant}/{product}", "tenant": "acme"},
    "injection": {
        "telemetry": "collector",
        "collector": {"endpoint": "http://otel-collector:4318", "protocol": "grpc"},
        "gateway": {"url": "http://gateway:5055", "secret": "floe-gateway-token", "key": "token"},
        "sidecar": {"image": "floe-sidecar:1", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}, "port": 4327},
        "containers": {"include": ["app"], "exclude": ["istio-proxy"]},
        "overrides": {"allowed": ["product"], "lineage_namespaces": ["{namespace}/*"]},
    },
    "monitoring": {
        "check_intervals": {"freshness_minutes": 15},
        "alerts": {"routing_rules": [{"channel_name": "oncall", "min_severity": "error"}]},
    },
    "logging": {"level": "info", "format": "json"},
}
OLD: dict[str, Any] = {
    "apiVersion": "floe.dev/v1",
    "kind": "Manifest",
    "metadata": {"name": "acme"},
    "lineage_backend": {"type": "marquez", "config": {"url": "http://marquez:5000"}},
    "observability": {
        "tracing": {"enabled": True, "exporter": "otlp", "endpoint": "http://otel:4317"},
        "logging": {"level": "INFO", "format": "text"},
    },
}

SECRETS = st.text(alphabet="abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.", min_size=16, max_size=40)
FORMS = (
    "{}",
    '"{}"',
    "'{}'",
    "[{}]",
    "{{{}: 1}}",
    '{{type: "{}"}}',
    "{{a: 1, {}: 2, {}: 3}}",
    "{}: {}: x",
    "|{}",
    "? {}",
    '"https://{}"',
    '"https://host:{}"',
    '"https://u:{}@host"',
    '"http://{}@host"',
    '"https://host/{}"',
    '"https://host?{}"',
    '"https://[{}"',
    '"https://\\u2100{}"',
    '"host:{}"',
    '"{{{}}}"',
    '"{{{}"',
    '"{{{}.x}}"',
    "!!timestamp {}",
    "!!int {}",
    "!!float {}",
    "!!bool {}",
    "!!binary {}",
    "!!set {}",
    "!!omap {}",
    "!!merge {}",
    "!!null {}",
    "!{} x",
    "!x!{} y",
    "!!{} x",
    "*{}",
    "&{} 1",
    '"{}',
    "'{}",
    "{{{}",
    "@{}",
    "%{}",
    "`{}",
    '"\\q{}"',
    '"{}\\0"',
    "0x{}",
    "2001-13-45T{}",
    '"$${{env:{}}} {}"',
)
"""What a person may write around it, as YAML."""


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all parts of a document."""
    yield path
    for step, entry in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(entry, (*path, step))


PLANTING = [(document, path) for document in (MANIFEST, OLD) for path in places(document) if path]


def planted(document: dict[str, Any], path: tuple[str | int, ...], text: str, *, as_key: bool) -> str:
    """The manifest with a text in place of a value, or of a key; JSON is YAML."""
    changed = deepcopy(document)
    around: Any = changed
    for step in path[:-1]:
        around = around[step]
    last = path[-1]
    if as_key and isinstance(around, dict):
        around["@@"] = around.pop(str(last))
    else:
        around[last] = "@@"
    return json.dumps(changed, indent=1).replace('"@@"', text)


def told(text: str) -> str:
    """All that is said of a manifest, in each form."""
    try:
        problems = plugin_problems(parse_manifest(text, file="floe.yaml"), PluginRegistry())
    except FloeError as error:
        return "\n".join([str(error), repr(error), json.dumps(error.as_dict()), *traceback.format_exception(error)])
    return "\n".join(f"{problem} {json.dumps(problem.as_dict())}" for problem in problems)


@pytest.mark.parametrize("document", [MANIFEST, OLD])
def test_nothing_is_wrong_with_the_manifests_that_secrets_are_planted_in(document: dict[str, Any]) -> None:
    assert told(json.dumps(document)) == ""


@given(st.sampled_from(PLANTING), st.sampled_from(FORMS), SECRETS, st.booleans())
def test_a_secret_anywhere_in_a_manifest_is_in_no_error(
    where: tuple[dict[str, Any], tuple[str | int, ...]], form: str, secret: str, as_key: bool
) -> None:
    written = form.replace("{}", secret).replace("{{", "{").replace("}}", "}")
    assert secret not in told(planted(*where, written, as_key=as_key))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("a: !!timestamp hunter2\n", "failed to construct timestamp from.", id="a date"),
        pytest.param("a: !!set hunter2\n", "tagged value cannot be read (AttributeError).", id="a tagged value"),
        pytest.param("a: *hunter2\n", "found undefined alias.", id="an alias"),
        pytest.param("hunter2: 1\nhunter2: 2\n", "found duplicate key.", id="a key that stands there twice"),
        pytest.param("logging: {hunter2: 1}\n", "(logging.*): There is no such key here.", id="an unknown key"),
        pytest.param("credentials: {hunter-2: {secret: s, key: k}}\n", "(credentials.*): `credentials.*`", id="a name"),
        pytest.param("credentials: {hunter2: {secret: s}}\n", "`credentials.*.key` is missing.", id="under a name"),
        pytest.param(
            "plugins: {catalog: {type: hunter2}}\n",
            "(plugins.catalog.type): There is no such catalog plugin.",
            id="a plugin",
        ),
        pytest.param(
            "observability: {hunter2: 1}\n",
            "(observability.*): `observability` (deprecated) has no such key.",
            id="an unknown key of an old shape",
        ),
        pytest.param(
            "monitoring: {alerts: {routing_rules: [{channel_name: hunter2}]}}\n", "names a channel that", id="a channel"
        ),
        pytest.param(
            "namespaces: {template: 'hunter2{x}'}\n", "names a field that does not exist", id="a namespace's template"
        ),
    ],
)
def test_an_error_names_the_place_and_what_is_expected(body: str, expected: str) -> None:
    found = told("apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n" + body)
    assert expected in found
    assert "hunter" not in found


@pytest.mark.parametrize(
    "url",
    [
        "http://backend:hunter2", "http://backend/hunter2", "http://hunter2/path", "http://[hunter2", "http://hunter2:x",
        "http://backend?hunter2", "http://hunter2@backend", "hunter2", "http://\u2100hunter2", "http://hunter2",
    ],
)  # fmt: skip
def test_an_address_that_is_no_origin_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z]") as caught:  # a sentence of ours
        https_origin(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_text_that_replaces_an_old_shape_shows_no_credential() -> None:
    old = "lineage_backend: {type: marquez, config: {url: 'https://u:hunter2@host', api_key: hunter2}}\n"
    loaded = parse_manifest("apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n" + old, file="floe.yaml")
    (deprecation,) = loaded.deprecations
    assert "url: https://" in deprecation.new_text
    assert "hunter2" not in str(deprecation)
