"""What the variables mean, what their defaults are, and what is said about a value that cannot work."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from floe_sidecar.settings import SECRET_VARIABLES, PodSettings, Role, Settings, SettingsError, Variable

pytestmark = pytest.mark.requirement("HOUSE-6", "CC-2.2", "CC-2.4")

GOOD = {
    Variable.PORT: ("0", 0),
    Variable.HEALTH_PORT: ("65535", 65535),
    Variable.HEALTH_HOST: ("::", "::"),
    Variable.SPOOL_DIRECTORY: ("/spool", Path("/spool")),
    Variable.SPOOL_MAX_BYTES: ("64Mi", 64 * 1024 * 1024),
    Variable.SPOOL_PER_POD: ("true", True),
    Variable.LINEAGE_URL: ("https://acme.example/base/", "https://acme.example/base/"),
    Variable.LINEAGE_ENDPOINT: ("/events", "/events"),
    Variable.LINEAGE_BATCH_ENDPOINT: ("api/v1/lineage/batch", "api/v1/lineage/batch"),
    Variable.LINEAGE_API_KEY: ("k-1", "k-1"),
    Variable.LINEAGE_API_KEY_FILE: ("/secret/key", Path("/secret/key")),
    Variable.LINEAGE_HEADERS: ('{"DD-API-KEY": "${api_key}"}', {"DD-API-KEY": "${api_key}"}),
    Variable.LINEAGE_CA_FILE: ("/ca.pem", Path("/ca.pem")),
    Variable.LINEAGE_CLIENT_CERTIFICATE_FILE: ("/tls.crt", Path("/tls.crt")),
    Variable.LINEAGE_CLIENT_KEY_FILE: ("/tls.key", Path("/tls.key")),
    Variable.LINEAGE_TIMEOUT_SECONDS: ("2.5", 2.5),
    Variable.LINEAGE_CONCURRENCY: ("3", 3),
    Variable.RETRY_BASE_SECONDS: ("0.1", 0.1),
    Variable.RETRY_CAP_SECONDS: ("60", 60.0),
    Variable.RETRY_AFTER_CAP_SECONDS: ("0", 0.0),
    Variable.POISON_ATTEMPTS: ("5", 5),
    Variable.DUPLICATE_WINDOW_SECONDS: ("0", 0.0),
    Variable.BODY_MAX_BYTES: ("1Ki", 1024),
    Variable.HEADER_MAX_BYTES: ("4096", 4096),
    Variable.INFLIGHT_MAX_BYTES: ("1Gi", 1024**3),
    Variable.BATCH_MAX_EVENTS: ("10", 10),
    Variable.CONNECTIONS_MAX: ("16", 16),
    Variable.REQUEST_TIMEOUT_SECONDS: ("5", 5.0),
    Variable.IDLE_TIMEOUT_SECONDS: ("5", 5.0),
    Variable.SHUTDOWN_SECONDS: ("0", 0.0),
    Variable.ABORT_OPEN_RUNS: ("false", False),
    Variable.REDACTION: ("False", False),
    Variable.REDACTION_NAMES: ("x-acme-session, pin.code", ("x-acme-session", "pin.code")),
    Variable.REDACTION_PREFIXES: ("acme_pat_", ("acme_pat_",)),
    Variable.LOG_LEVEL: ("debug", "DEBUG"),
    Variable.TERMINATION_MESSAGE_FILE: ("/dev/null", Path("/dev/null")),
    Variable.GATEWAY_URL: ("http://gateway:5055", "http://gateway:5055"),
    Variable.GATEWAY_TOKEN_FILE: ("/token", Path("/token")),
    Variable.GATEWAY_CA_FILE: ("/gateway-ca.pem", Path("/gateway-ca.pem")),
    Variable.GATEWAY_BATCH_BYTES: ("64Ki", 64 * 1024),
    Variable.GATEWAY_TIMEOUT_SECONDS: ("1", 1.0),
    Variable.GATEWAY_AFTER_SECONDS: ("0", 0.0),
    Variable.TELEMETRY_URL: ("https://otlp.example/base", "https://otlp.example/base"),
    Variable.TELEMETRY_API_KEY_FILE: ("/telemetry-key", Path("/telemetry-key")),
    Variable.TELEMETRY_HEADERS: ('{"X-Scope-OrgID": "a"}', {"X-Scope-OrgID": "a"}),
    Variable.TELEMETRY_CA_FILE: ("/telemetry-ca.pem", Path("/telemetry-ca.pem")),
    Variable.TELEMETRY_CLIENT_CERTIFICATE_FILE: ("/t.crt", Path("/t.crt")),
    Variable.TELEMETRY_CLIENT_KEY_FILE: ("/t.key", Path("/t.key")),
    Variable.TELEMETRY_TIMEOUT_SECONDS: ("3", 3.0),
    Variable.TELEMETRY_MAX_BYTES: ("64Ki", 64 * 1024),
    Variable.METRICS_URL: ("http://otel:4318", "http://otel:4318"),
    Variable.METRICS_INTERVAL_SECONDS: ("15", 15.0),
    Variable.HTTP_PROXY: ("proxy.example:3128", "http://proxy.example:3128"),
    Variable.HTTPS_PROXY: ("http://me:pw@proxy.example:3128/", "http://me:pw@proxy.example:3128/"),
    Variable.NO_PROXY: (".svc, 10.0.0.0/8", ".svc, 10.0.0.0/8"),
    Variable.PROXY_USER_FILE: ("/proxy/user", Path("/proxy/user")),
    Variable.ROLE: ("Sidecar", Role.SIDECAR),
    Variable.HOST: ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - a gateway's
    Variable.GATEWAY_KEY_FILE: ("/keys", Path("/keys")),
    Variable.NAMESPACE_MAX_BYTES: ("1Mi", 1024 * 1024),
    Variable.POD_NAMESPACE: ("sales", "sales"),
    Variable.POD_NAME: ("load-x7k2p", "load-x7k2p"),
    Variable.POD_UID: ("6f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d10", "6f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d10"),
    Variable.NODE_NAME: ("worker-3", "worker-3"),
    Variable.POD_OWNER: ("CronJob/load", "CronJob/load"),
    Variable.POD_CONTAINERS: ("app=registry.example/load%3A1,b=", {"app": "registry.example/load:1", "b": ""}),
    Variable.JOB_NAMESPACE: ("acme/load", "acme/load"),
    Variable.JOB_NAME: ("lo\nad \udcff", "lo\nad ?"),
    Variable.PROCESSING_TYPE: ("service", "SERVICE"),
    Variable.POD_RUN: ("true", True),
    Variable.ADD_PARENT: ("false", False),
    Variable.ADD_POD: ("false", False),
    Variable.ADD_TRACE_CONTEXT: ("false", False),
    Variable.TRACEPARENT: ("00-a-b-01", "00-a-b-01"),
    Variable.REPLACED_NAMESPACES: ("default, dbt,a%2Cb,", ("default", "dbt", "a,b")),
    Variable.RUN_TAGS: ("team=sales%2Ceu,tier = gold", {"team": "sales,eu", "tier": "gold"}),
    Variable.JOB_TAGS: ("a=b%3Dc=d", {"a": "b=c=d"}),
    Variable.ENVIRONMENT_VARIABLES: ("GIT_SHA=%24(X)%C3%A9", {"GIT_SHA": "$(X)é"}),
    Variable.ENRICHMENT_MAX_BYTES: ("0", 0),
}

BAD = [
    (Variable.PORT, "tcp://10.0.0.1:80", "a TCP port"),
    (Variable.PORT, "65536", "from 0 to 65535"),
    (Variable.HEALTH_HOST, "localhost", "an IP address"),
    (Variable.SPOOL_MAX_BYTES, "1MB", "such as 1048576 or 256Mi"),
    (Variable.SPOOL_MAX_BYTES, "1", "at least 65536"),
    (Variable.LINEAGE_URL, "marquez:5000", "http:// or https://"),
    (Variable.LINEAGE_URL, "http://h/?token=1", "without user, query or fragment"),
    (Variable.LINEAGE_URL, "http://[::1", "http:// or https://"),
    (Variable.LINEAGE_URL, "http://h:0", "http:// or https://"),
    (Variable.LINEAGE_ENDPOINT, "http://h/api", "a path"),
    (Variable.LINEAGE_HEADERS, "[]", "a JSON object"),
    (Variable.LINEAGE_HEADERS, "{", "a JSON object"),
    (Variable.LINEAGE_HEADERS, '{"a": 1}', "string values"),
    (Variable.LINEAGE_HEADERS, '{"a": "x\\r\\ny"}', "forbids"),
    (Variable.LINEAGE_API_KEY, "two words", "printable ASCII"),
    (Variable.SPOOL_DIRECTORY, "a\0b", "without NUL"),
    (Variable.RETRY_CAP_SECONDS, "nan", "seconds"),
    (Variable.RETRY_CAP_SECONDS, "soon", "seconds"),
    (Variable.REDACTION, "1", "true or false"),
    (Variable.LOG_LEVEL, "chatty", "DEBUG, INFO, WARNING or ERROR"),
    (Variable.HTTPS_PROXY, "socks5://proxy:1080", "a proxy's http:// address"),
    (Variable.HTTPS_PROXY, "https://proxy:3129", "a proxy's http:// address"),
    (Variable.HTTP_PROXY, "http://proxy:none", "a proxy's http:// address"),
    (Variable.NO_PROXY, "a\nb", "names, addresses and ranges"),
    (Variable.REDACTION_NAMES, "ab", "3 to 64 letters"),
    (Variable.REDACTION_NAMES, "a b c", "3 to 64 letters"),
    (Variable.REDACTION_PREFIXES, "___", "3 to 64 letters"),
    (Variable.ROLE, "router", "sidecar or gateway"),
    (Variable.PROCESSING_TYPE, "STREAMING", "BATCH or SERVICE"),
    (Variable.RUN_TAGS, "team", "name=value"),
    (Variable.RUN_TAGS, "team=sales,=x", "name=value"),
    (Variable.JOB_TAGS, "team=%FF", "percent-encoded UTF-8"),
    (Variable.GATEWAY_URL, "gateway", "http:// or https://"),
]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_value_leaves_the_default() -> None:
    assert Settings.from_environment(dict.fromkeys(Variable, " ")) == Settings()


def test_every_field_has_one_variable_of_its_name() -> None:
    of_sidecar, of_pod = ({setting.name for setting in fields(kind)} for kind in (Settings, PodSettings))
    assert not of_sidecar & of_pod
    assert {f"FLOE_SIDECAR_{name.upper()}" for name in (of_sidecar | of_pod) - {"pod"}} == set(Variable)


@pytest.mark.parametrize("variable", Variable)
def test_a_variable_sets_its_field(variable: Variable) -> None:
    text, value = GOOD[variable]
    settings = Settings.from_environment({variable: text})
    holder = settings if hasattr(settings, variable.name.lower()) else settings.pod
    assert getattr(holder, variable.name.lower()) == value
    assert type(getattr(holder, variable.name.lower())) is type(value)


@pytest.mark.parametrize(("variable", "text", "expected"), BAD)
def test_a_bad_value_is_told_with_its_variable_and_what_would_be_right(
    variable: Variable, text: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({variable: text})
    assert str(error.value).startswith(f"{variable} holds ")
    assert expected in str(error.value)
    assert error.value.variable is variable


GATEWAY: dict[str, str] = {
    Variable.ROLE: "gateway",
    Variable.SPOOL_DIRECTORY: "/spool",
    Variable.GATEWAY_KEY_FILE: "/keys",
}


@pytest.mark.requirement("HOUSE-5", "HOUSE-7")
@pytest.mark.parametrize(
    ("variable", "text"),
    [(Variable.SPOOL_DIRECTORY, ""), (Variable.GATEWAY_KEY_FILE, ""), (Variable.GATEWAY_URL, "http://another:5055")],
)
def test_a_gateway_without_a_lasting_spool_or_keys_or_behind_another_one_does_not_start(
    variable: Variable, text: str
) -> None:
    assert Settings.from_environment(GATEWAY).role is Role.GATEWAY
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({**GATEWAY, variable: text})
    assert error.value.variable is variable
    assert "FLOE_SIDECAR_ROLE is gateway" in str(error.value)


@pytest.mark.parametrize("variable", sorted(SECRET_VARIABLES))
def test_a_wrong_secret_is_never_shown(variable: Variable) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({variable: "hunter two"})
    assert "hunter" not in str(error.value)


def test_a_password_in_the_url_is_refused_and_never_shown() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({Variable.LINEAGE_URL: "https://me:hunter2@h:port"})
    assert "hunter2" not in str(error.value)


def test_settings_never_print_their_secrets() -> None:
    settings = Settings.from_environment(
        {Variable.LINEAGE_API_KEY: "hunter2", Variable.LINEAGE_HEADERS: '{"K": "hunter2"}'}
    )
    assert "hunter2" not in repr(settings)


@pytest.mark.requirement("HOUSE-1")
def test_importing_the_settings_loads_no_other_module_of_the_sidecar_and_no_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import floe_sidecar.settings; "
        "print(*sorted({n.partition('.')[0] for n in set(sys.modules) - before} - sys.stdlib_module_names)); "
        "print(*sorted(n for n in sys.modules if n.startswith('floe_')))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    libraries, modules = told.stdout.splitlines()
    assert libraries == "floe_sidecar"
    assert {name.partition(".settings")[0] for name in modules.split()} == {"floe_sidecar"}
