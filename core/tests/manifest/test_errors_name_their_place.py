"""Every mistake in a manifest is told with its line, column and path, and with what was probably meant."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.errors import EXIT_CONFIGURATION, ConfigurationError, FloeError, ValidationError
from floe_core.manifest import load_manifest, parse_manifest

pytestmark = pytest.mark.requirement("HOUSE-8", "CC-2.4")

HEAD = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"


def refusal(text: str) -> FloeError | None:
    try:
        parse_manifest(text, file="x")
    except FloeError as error:
        return error
    return None


def problems(text: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        parse_manifest(text, file="floe.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            "plugins:\n  telemetry_backnd: {type: jaeger}\n",
            "floe.yaml:5:3 (plugins.telemetry_backnd): There is no key `telemetry_backnd` here. "
            "Did you mean `telemetry_backend`?",
            id="an unknown key near a known one",
        ),
        pytest.param(
            "logging: {colour: red}\n",
            "floe.yaml:4:11 (logging.*): There is no such key here. Known here: level, format.",
            id="an unknown key near nothing",
        ),
        pytest.param(
            "injection:\n  telemetry: colector\n",
            "floe.yaml:5:3 (injection.telemetry): `injection.telemetry` is not one of collector, relay or direct. "
            "Did you mean `collector`?",
            id="a mistyped enumeration",
        ),
        pytest.param(
            "logging:\n  format: xml\n",
            "floe.yaml:5:3 (logging.format): `logging.format` is not one of json or console. Use json or console.",
            id="a word near none of the allowed ones",
        ),
        pytest.param(
            "plugins:\n  alert_channels:\n    - {type: webhook}\n",
            "floe.yaml:6:7 (plugins.alert_channels[0].name): `plugins.alert_channels[0].name` is missing.",
            id="a missing key in a list, at the entry",
        ),
        pytest.param(
            "credentials:\n  DD_API_KEY: {secret: datadog, ky: api-key}\n",
            "floe.yaml:5:33 (credentials.*.ky): There is no key `ky` here. Did you mean `key`?",
            id="an unknown key under a name of one's own",
        ),
        pytest.param(
            "namespaces: {template: '{product.__class__}'}\n",
            "floe.yaml:4:14 (namespaces.template): `namespaces.template`: The namespace template "
            "is malformed: only plain fields are allowed. "
            "Use the fields {domain}, {environment}, {organization}, {product}, {tenant}.",
            id="a template that reaches into objects",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(body: str, expected: str) -> None:
    assert expected in problems(HEAD + body)


def test_every_mistake_is_told_at_once_in_the_order_of_the_text() -> None:
    found = problems("apiVersion: floe.dev/v1\nkind: Manifst\nmetadata: {nam: acme}\nlogging: {level: loud}\n")
    assert [line.split(" ")[0] for line in found] == [
        "floe.yaml:2:1",
        "floe.yaml:3:1",
        "floe.yaml:3:12",
        "floe.yaml:4:11",
    ]


def test_a_rule_that_names_no_channel_is_refused() -> None:
    body = "monitoring: {alerts: {routing_rules: [{channel_name: pager}]}}\n"
    (problem,) = problems(HEAD + body)
    assert "monitoring.alerts.routing_rules[0] names a channel that plugins.alert_channels lacks" in problem


def test_a_channel_that_is_named_as_one_before_is_refused_by_its_place() -> None:
    channels = ", ".join(f"{{type: webhook, name: {name}}}" for name in ("oncall", "data", "oncall"))
    (problem,) = problems(HEAD + f"plugins: {{alert_channels: [{channels}]}}\n")
    assert "must be unique; given before: alert_channels[2]" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "x:1:1: One mapping of keys to values is expected here, not nothing. Begin with `apiVersion: floe.dev/v1`.",
        ),
        ("- a\n", "x:1:1: One mapping"),
        ("a: 1\n---\nb: 2\n", "not 2 documents"),
        ("hello\n", "not a single value"),
        ("a: [1\n", "x:2:1: This is not valid YAML"),
        ("a: 1\na: 2\n", 'x:2:1: This is not valid YAML: found duplicate key "a".'),
        ("a: 1\nb: \x00\n", "x:2:4: This is not YAML: the character U+0000 may not stand in it."),
        ("a: 0x_\n", "x: This is not YAML: a number, date or tagged value cannot be read (IndexError)."),
        ("a: !!bool hunter2\n", "cannot be read (KeyError)."),
        ("a: !!int hunter2\n", "cannot be read (ValueError)."),
        ("a: " + "[" * 600 + "]" * 600, "nested too deeply"),
        ("metadata: {name: !!python/object/apply:os.system [echo]}\n", "`metadata.name`: Input should be"),
        ("&root\na: *root\n", "nested too deeply"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(FloeError) as caught:
        parse_manifest(text, file="x")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
            id="aliases that make a kilobyte into billions of parts",
        ),
    ],
)
def test_a_document_that_aliases_blow_up_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ValidationError, match="more than 100000 parts"):
        parse_manifest(text, file="x")
    assert time.process_time() - started < 10


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        load_manifest(Path("/dev/zero"))


def test_a_duplicate_keys_values_are_not_told() -> None:
    with pytest.raises(ValidationError) as caught:
        parse_manifest("key: hunter2\nkey: hunter3\n", file="x")
    assert "hunter" not in str(caught.value)


def test_a_wrong_value_is_not_told_since_it_may_be_a_credential() -> None:
    found = problems(HEAD + "credentials:\n  TOKEN: {secret: HUNTER2_SECRET, key: api}\n")
    assert len(found) == 1
    assert "HUNTER2" not in found[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot be read"), (b"\xff\xfe\x00", "not UTF-8"), (b"a" * (1024 * 1024 + 1), "larger than 1 MiB")],
)
def test_a_file_that_cannot_be_a_manifest_is_told_with_its_name(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "floe.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        load_manifest(file)
    assert str(file) in str(caught.value)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_manifest_or_an_error_of_ours(text: str) -> None:
    error = refusal(text)
    assert error is None or error.exit_code == EXIT_CONFIGURATION


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_value_under_any_key_is_refused_with_a_place_in_the_text(value: object) -> None:
    for key in ("plugins", "telemetry_backend", "observability", "injection", "credentials"):
        error = refusal(HEAD + f"{key}: {json.dumps(value)}\n")  # JSON is YAML
        if isinstance(error, ValidationError):
            assert error.problems
            assert all(problem.where.line for problem in error.problems)


@pytest.mark.requirement("HOUSE-9")
@pytest.mark.parametrize("key", ["tenant", "organization", "environment", "domain", "template"])
def test_a_line_break_in_a_namespace_is_refused(key: str) -> None:
    (problem,) = problems(HEAD + f'namespaces: {{{key}: "a\\nb"}}\n')
    assert f"namespaces.{key}" in problem


@pytest.mark.requirement("HOUSE-7")
@pytest.mark.parametrize("where", ["injection: {gateway: {url: URL}}", "injection: {collector: {endpoint: URL}}"])
@pytest.mark.parametrize(
    "url", ["http://floe:hunter2@gateway:5055", "http://hunter2@gateway", "http://gateway:hunter2"]
)
def test_an_address_that_every_pod_will_show_holds_no_credential_and_the_refusal_does_not_quote_it(
    where: str, url: str
) -> None:
    (problem,) = problems(HEAD + where.replace("URL", url) + "\n")
    assert "hunter2" not in problem
