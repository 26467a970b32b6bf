"""A webhook and a sidecar of different versions: the numbered agreement between them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_sidecar.settings import PROTOCOL, PROTOCOL_VARIABLE, Settings, SettingsError, Variable
from floe_sidecar.settings.protocol import settings_from
from sidecar.tests.builders import relay_process

pytestmark = pytest.mark.requirement("HOUSE-3", "HOUSE-5")

FUTURE = {
    PROTOCOL_VARIABLE: str(PROTOCOL + 1),
    Variable.PORT: "4400",
    Variable.LINEAGE_URL: "quic://lineage.example",
    Variable.SPOOL_MAX_BYTES: "2Ti",
    Variable.SHUTDOWN_SECONDS: "PT5S",
    Variable.LOG_LEVEL: "TRACE",
    "FLOE_SIDECAR_COMPRESSION": "zstd",
    "FLOE_SIDECAR_TENANT_FILE": "/var/run/floe/credentials/tenant",
}
"""What a webhook of a later version could write."""


def test_a_sidecar_takes_of_a_newer_webhook_what_it_knows_and_says_what_it_leaves_out() -> None:
    settings, remarks = settings_from(FUTURE)
    assert settings == Settings(port=4400)
    text = "\n".join(remarks)
    assert f"version {PROTOCOL + 1}" in text
    assert "does not know FLOE_SIDECAR_COMPRESSION, FLOE_SIDECAR_TENANT_FILE;" in text
    for name in (Variable.LINEAGE_URL, Variable.SPOOL_MAX_BYTES, Variable.SHUTDOWN_SECONDS, Variable.LOG_LEVEL):
        assert f"{name} holds" in text


def test_a_secret_that_a_newer_webhook_writes_otherwise_is_not_shown() -> None:
    settings, remarks = settings_from({PROTOCOL_VARIABLE: "99", Variable.LINEAGE_API_KEY: "hunter two"})
    assert settings == Settings()
    assert "hunter" not in "\n".join(remarks)


@pytest.mark.parametrize("protocol", [{}, {PROTOCOL_VARIABLE: ""}, {PROTOCOL_VARIABLE: "1"}, {PROTOCOL_VARIABLE: "0"}])
def test_a_webhook_of_the_same_or_an_older_version_is_taken_at_its_word(protocol: dict[str, str]) -> None:
    assert settings_from({**protocol, Variable.PORT: "4400"}) == (Settings(port=4400), ())
    with pytest.raises(SettingsError, match="FLOE_SIDECAR_PORT"):
        settings_from({**protocol, Variable.PORT: "none"})


def test_a_variable_that_nobody_knows_is_said_at_any_version() -> None:
    settings, remarks = settings_from({"FLOE_SIDECAR_SPOOL_MAXBYTES": "1Gi", "FLOE_OTHER": "1", "HOME": "/"})
    assert settings == Settings()
    assert remarks == ("This sidecar does not know FLOE_SIDECAR_SPOOL_MAXBYTES; what they ask for is not done.",)


@pytest.mark.parametrize("variable", Variable)
def test_a_variable_that_is_empty_is_known_all_the_same(variable: Variable) -> None:
    assert settings_from({variable: ""}) == (Settings(), ())


def test_what_kubernetes_adds_for_a_service_of_that_name_is_nobodys_setting() -> None:
    environment = {"FLOE_SIDECAR_SERVICE_HOST": "10.0.0.1", "FLOE_SIDECAR_PORT_4327_TCP_ADDR": "10.0.0.1"}
    assert settings_from(environment) == (Settings(), ())


def test_a_protocol_that_is_no_number_is_said_and_ours_is_assumed() -> None:
    settings, remarks = settings_from({PROTOCOL_VARIABLE: "next"})
    assert settings == Settings()
    assert remarks == ("FLOE_SIDECAR_PROTOCOL holds 'next', which is no number; 1 is assumed.",)


@pytest.mark.requirement("CC-2.4")
def test_the_proxy_that_all_programs_read_holds_where_our_own_variables_say_nothing() -> None:
    environment = {"HTTPS_PROXY": "http://up:1", "https_proxy": "http://low:2", "NO_PROXY": ".svc"}
    settings, remarks = settings_from(environment)
    assert (settings.https_proxy, settings.http_proxy, settings.no_proxy, remarks) == ("http://low:2", "", ".svc", ())
    settings, _ = settings_from({**environment, Variable.HTTPS_PROXY: "http://own:3", Variable.NO_PROXY: "*"})
    assert (settings.https_proxy, settings.no_proxy) == ("http://own:3", "*")


@pytest.mark.requirement("CC-2.4")
def test_a_proxy_of_the_cluster_that_cannot_work_is_said_and_never_keeps_the_sidecar_from_starting() -> None:
    settings, remarks = settings_from({"HTTPS_PROXY": "socks5://me:hunter2@proxy:1080"})
    assert settings == Settings()
    assert "FLOE_SIDECAR_HTTPS_PROXY" in remarks[0]
    assert "hunter2" not in remarks[0]
    with pytest.raises(SettingsError, match="FLOE_SIDECAR_HTTPS_PROXY"):
        settings_from({Variable.HTTPS_PROXY: "socks5://proxy:1080"})


_names = st.one_of(st.sampled_from(list(Variable)), st.from_regex(r"FLOE_SIDECAR_[A-Z_]{1,20}", fullmatch=True))


@given(st.dictionaries(_names, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_whatever_a_newer_webhook_writes_the_sidecar_has_settings(environment: dict[str, str]) -> None:
    # A gateway is no pod's sidecar: an administrator gives it its role and the rest that it needs.
    environment.pop(Variable.ROLE, None)
    settings, _ = settings_from({**environment, PROTOCOL_VARIABLE: str(PROTOCOL + 1)})
    assert isinstance(settings, Settings)


def test_a_sidecar_that_a_newer_webhook_configures_runs_and_logs_what_it_leaves_out(tmp_path: Path) -> None:
    newer = {"PROTOCOL": str(PROTOCOL + 1), "COMPRESSION": "zstd", "RETRY_CAP_SECONDS": "PT30S"}
    with relay_process(tmp_path, **newer) as relay:
        code, lines = relay.end()
    assert code == 0
    told = [str(line["remark"]) for line in lines if line["event"] == "settings left out"]
    assert len(told) == 3
    assert "FLOE_SIDECAR_COMPRESSION" in told[1]
    assert "FLOE_SIDECAR_RETRY_CAP_SECONDS" in told[2]
