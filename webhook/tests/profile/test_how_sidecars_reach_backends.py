"""Proxies, TLS, batches and words to cut out: from the manifest into the sidecar's variables and mounted files."""

from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from pydantic import ValidationError

from floe_core.lineage.backend import HttpBackendConfig
from floe_core.plugin_interfaces.lineage import OpenLineageTransport
from floe_sidecar.settings import Settings
from floe_webhook.profile import Profile
from webhook.tests.builders import injected, manifest, pod, profile
from webhook.tests.kubelet import environment

pytestmark = pytest.mark.requirement("HOUSE-4", "HOUSE-7", "CC-3.3")

FILES = "/var/run/floe/credentials"
TLS = {"secret": "backend-tls", "ca": "ca.crt", "certificate": "tls.crt", "key": "tls.key"}


def settings(platform: Profile) -> Settings:
    found = injected(pod(), by=platform).plan.sidecar
    assert found is not None
    return Settings.from_environment(environment(found))


def mounted(platform: Profile) -> dict[str, tuple[str, str]]:
    """Secret and key of each file."""
    (volume,) = (one for one in injected(pod(), by=platform).plan.volumes if "secret" in one or "projected" in one)
    sources = [one["secret"] for one in volume["projected"]["sources"]]
    assert all(source["optional"] for source in sources)
    return {item["path"]: (source["name"], item["key"]) for source in sources for item in source["items"]}


def with_sidecar(**sidecar: Any) -> Profile:
    return profile(injection={"sidecar": sidecar})


def test_a_proxy_and_its_user_reach_the_sidecar_and_no_container() -> None:
    proxy = {
        "https": "http://proxy.example:3128",
        "no_proxy": [".svc", "10.0.0.0/8"],
        "user": {"secret": "proxy", "key": "user"},
    }
    platform = with_sidecar(proxy=proxy)
    told = settings(platform)
    assert (told.https_proxy, told.http_proxy, told.no_proxy) == ("http://proxy.example:3128", "", ".svc,10.0.0.0/8")
    assert told.proxy_user_file == Path(FILES) / "proxy-user"
    assert mounted(platform)["proxy-user"] == ("proxy", "user")
    after = jsonpatch.apply_patch(pod(), injected(pod(), by=platform).operations)
    assert not [name for name in environment(after["spec"]["containers"][0]) if "proxy" in name.lower()]


def test_without_a_proxy_the_sidecar_is_told_of_nothing_to_leave_out() -> None:
    assert settings(profile()).no_proxy == ""


def test_certificates_come_as_files_of_the_pods_own_secret() -> None:
    authorities = {"secret": "gateway-tls", "key": "ca.crt"}
    platform = with_sidecar(
        lineage_tls=TLS, telemetry_tls={"secret": "otlp-tls", "ca": "ca.crt"}, gateway_ca=authorities
    )
    told = settings(platform)
    assert told.lineage_ca_file == Path(FILES) / "lineage-ca.crt"
    assert told.lineage_client_certificate_file == Path(FILES) / "lineage-tls.crt"
    assert told.lineage_client_key_file == Path(FILES) / "lineage-tls.key"
    assert (told.telemetry_ca_file, told.telemetry_client_key_file) == (Path(FILES) / "telemetry-ca.crt", None)
    assert told.gateway_ca_file == Path(FILES) / "gateway-ca.crt"
    files = mounted(platform)
    assert {name: files[name] for name in files if name.endswith((".crt", ".key"))} == {
        "lineage-ca.crt": ("backend-tls", "ca.crt"),
        "lineage-tls.crt": ("backend-tls", "tls.crt"),
        "lineage-tls.key": ("backend-tls", "tls.key"),
        "telemetry-ca.crt": ("otlp-tls", "ca.crt"),
        "gateway-ca.crt": ("gateway-tls", "ca.crt"),
    }


def test_words_that_are_secret_here_reach_the_sidecar() -> None:
    words = {"names": ["x-acme-session", "pin"], "prefixes": ["acme_pat_"]}
    told = settings(profile(injection={"redaction": words}))
    assert (told.redaction_names, told.redaction_prefixes) == (("x-acme-session", "pin"), ("acme_pat_",))


@pytest.mark.parametrize(
    ("endpoint", "batch", "path"),
    [
        ("api/v1/lineage", None, ""),
        ("api/v1/lineage", "api/v1/lineage/batch", "api/v1/lineage/batch"),
        ("/x/lineage", "/x/lineage/batch", "x/lineage/batch"),
    ],
)
def test_a_backend_that_takes_batches_is_told_with_its_path(endpoint: str, batch: str | None, path: str) -> None:
    transport = OpenLineageTransport(url="https://lineage.example", endpoint=endpoint, batch_endpoint=batch)
    assert settings(profile(transport=transport)).lineage_batch_endpoint == path


def test_a_plugin_says_by_its_configuration_that_its_backend_takes_batches() -> None:
    config = HttpBackendConfig(url="http://marquez:5000")
    alone, batches = config.transport(), config.transport(batch=True)
    assert (alone.batch_endpoint, batches.batch_endpoint) == (None, "api/v1/lineage/batch")
    assert "batch_endpoint" not in batches.client_config()


@pytest.mark.parametrize(
    ("sidecar", "told"),
    [
        ({"proxy": {"https": "https://proxy.example:3128"}}, "an http:// address without a path"),
        ({"proxy": {"http": "http://me:hunter2@proxy.example:3128"}}, "no user and no password"),
        ({"proxy": {"no_proxy": ["a b"]}}, "should match pattern"),
        ({"lineage_tls": {"secret": "s"}}, "give `ca`, or `certificate` and `key`"),
        ({"lineage_tls": {"secret": "s", "certificate": "tls.crt"}}, "`certificate` and `key` go together"),
        ({"lineage_tls": {"secret": "S!", "ca": "ca.crt"}}, "should match pattern"),
    ],
)
def test_what_cannot_work_is_told_when_the_manifest_is_read(sidecar: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as error:
        manifest(injection={"sidecar": sidecar})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("word", ["ab", "a b c", "...", "a,b,c"])
def test_a_word_that_would_be_found_everywhere_is_refused(word: str) -> None:
    with pytest.raises(ValidationError, match=r"injection\.redaction\.names"):
        manifest(injection={"redaction": {"names": [word]}})


@pytest.mark.requirement("HOUSE-12")
@pytest.mark.parametrize(
    ("injection", "url"),
    [
        pytest.param({"collector": {"endpoint": "http://otel:4318"}}, "http://otel:4318", id="the pods' collector"),
        pytest.param({"collector": {"endpoint": "http://otel:4317", "protocol": "grpc"}}, "", id="one that takes gRPC"),
        pytest.param({"telemetry": "direct"}, "", id="there is none"),
        pytest.param({"sidecar": {"export_metrics": False}}, "", id="the manifest does not want it"),
    ],
)
def test_a_sidecars_metrics_go_where_the_pods_telemetry_goes(injection: dict[str, Any], url: str) -> None:
    assert settings(profile(injection=injection)).metrics_url == url


@pytest.mark.requirement("HOUSE-12")
def test_without_a_telemetry_backend_a_sidecars_metrics_go_nowhere() -> None:
    assert settings(profile(telemetry=False)).metrics_url == ""
