"""Endpoints, names and attributes of containers, and what stays out because the user has it."""

import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given

from floe_core.plugin_interfaces.lineage import OpenLineageTransport
from floe_webhook.attributes import image_version
from floe_webhook.decision import Facts
from floe_webhook.environment import environment_for, environments
from floe_webhook.planning import _shared
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from webhook.tests.builders import PROFILE, container, injected, owner, pod, profile
from webhook.tests.kubelet import environment
from webhook.tests.strategies import pods

pytestmark = pytest.mark.requirement("HOUSE-6")


def told(document: dict[str, Any], *, by: Profile = PROFILE, **options: Any) -> dict[str, str]:
    """The environment of the first container's process."""
    after = jsonpatch.apply_patch(document, injected(document, by=by, **options).operations)
    return environment(after["spec"]["containers"][0])


def reasons(document: dict[str, Any], *, by: Profile = PROFILE) -> tuple[Reason, ...]:
    return injected(document, by=by).plan.decision.reasons


@pytest.mark.requirement("HOUSE-4")
def test_a_plain_pod_is_told_where_telemetry_and_lineage_go() -> None:
    found = told(pod(owned_by=owner("StatefulSet", "orders"), name="orders-0"))
    assert found == {
        "FLOE_NODE_NAME": "<spec.nodeName>",
        "FLOE_POD_NAME": "<metadata.name>",
        "FLOE_POD_UID": "<metadata.uid>",
        "OPENLINEAGE_CONTEXT": json.dumps(
            {
                "parent": {
                    "run": {"runId": "<metadata.uid>"},
                    "job": {"namespace": "single-tenant/orders", "name": "orders"},
                }
            },
            separators=(",", ":"),
        ),
        "OPENLINEAGE_NAMESPACE": "single-tenant/orders",
        "OPENLINEAGE_URL": "http://127.0.0.1:4327",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector.observability.svc:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.container.name=app,k8s.namespace.name=sales,k8s.node.name=<spec.nodeName>,"
        "k8s.pod.name=<metadata.name>,k8s.pod.uid=<metadata.uid>,k8s.statefulset.name=orders,"
        "service.instance.id=sales.<metadata.name>.app,service.namespace=sales,service.version=1.2.3",
        "OTEL_SERVICE_NAME": "orders",
    }


@pytest.mark.requirement("HOUSE-7")
def test_no_credential_reaches_the_application_beside_a_sidecar() -> None:
    operations = json.dumps([op for op in injected(pod()).operations if "/containers/" in op["path"]])
    assert "secretKeyRef" not in operations
    assert "API_KEY" not in operations


@pytest.mark.parametrize(
    ("variables", "stays_out", "reason"),
    [
        pytest.param(
            {"OTEL_CONFIG_FILE": "/etc/otel.yaml"},
            {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_ENDPOINT"},
            Reason.OTEL_CONFIG_FILE,
            id="a configuration file of OpenTelemetry's SDK",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4317"},
            {"OTEL_EXPORTER_OTLP_PROTOCOL"},
            Reason.EXPORTER_IS_USERS,
            id="an endpoint of their own keeps our protocol out",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://mine:4317"},
            {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"},
            Reason.EXPORTER_IS_USERS,
            id="an endpoint for one signal",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            {"OTEL_EXPORTER_OTLP_ENDPOINT"},
            Reason.EXPORTER_IS_USERS,
            id="another protocol than our endpoint's",
        ),
        pytest.param(
            {"OPENLINEAGE_CONFIG": "/etc/openlineage.yml"},
            {"OPENLINEAGE_URL"},
            Reason.OPENLINEAGE_CONFIG,
            id="a configuration file of OpenLineage's client",
        ),
        pytest.param(
            {"OPENLINEAGE_API_KEY": "k"},
            {"OPENLINEAGE_URL"},
            Reason.LINEAGE_IS_USERS,
            id="a key of theirs is not sent to us",
        ),
        pytest.param(
            {"OPENLINEAGE__TRANSPORT__TYPE": "kafka"},
            {"OPENLINEAGE_URL"},
            Reason.LINEAGE_IS_USERS,
            id="a transport of their own",
        ),
        pytest.param(
            {"OPENLINEAGE_DISABLED": " True "}, {"OPENLINEAGE_URL"}, Reason.LINEAGE_DISABLED, id="lineage is off"
        ),
        pytest.param(
            {"OPENLINEAGE_PARENT_ID": "a/b/c"},
            {"OPENLINEAGE_CONTEXT"},
            Reason.PARENT_IS_USERS,
            id="a parent run of their own",
        ),
    ],
)
def test_what_the_user_configures_stays_the_users(
    variables: dict[str, str], stays_out: set[str], reason: Reason
) -> None:
    document = pod(container(variables=variables))
    found = told(document)
    assert found.items() >= variables.items()
    assert not stays_out & found.keys()
    assert reason in reasons(document)


def test_the_word_1_does_not_disable_lineage() -> None:
    assert "OPENLINEAGE_URL" in told(pod(container(variables={"OPENLINEAGE_DISABLED": "1"})))


def test_the_same_protocol_as_ours_leaves_our_endpoint_in() -> None:
    found = told(pod(container(variables={"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.observability.svc:4318"


def test_an_empty_value_of_the_users_is_left_empty() -> None:
    assert told(pod(container(variables={"OTEL_SERVICE_NAME": ""})))["OTEL_SERVICE_NAME"] == ""


@pytest.mark.requirement("FP-3")
def test_airflows_own_section_is_configured_where_airflow_runs() -> None:
    found = told(pod(container("base", variables={"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"})))
    transport = json.loads(found["AIRFLOW__OPENLINEAGE__TRANSPORT"])
    assert transport == {"type": "http", "url": "http://127.0.0.1:4327", "endpoint": "api/v1/lineage"}
    assert found["AIRFLOW__OPENLINEAGE__NAMESPACE"] == found["OPENLINEAGE_NAMESPACE"]


@pytest.mark.requirement("FP-3")
@pytest.mark.parametrize("key", ["TRANSPORT", "CONFIG_PATH", "CONFIG_CONN_ID", "DISABLED"])
def test_airflows_own_section_is_left_alone_where_it_is_filled(key: str) -> None:
    document = pod(container("base", variables={f"AIRFLOW__OPENLINEAGE__{key}": "x"}))
    assert told(document)[f"AIRFLOW__OPENLINEAGE__{key}"] == "x"
    assert key == "TRANSPORT" or "AIRFLOW__OPENLINEAGE__TRANSPORT" not in told(document)
    assert Reason.AIRFLOW_LINEAGE_IS_USERS in reasons(document)


def test_a_worker_of_airflow_is_known_by_its_label() -> None:
    assert "AIRFLOW__OPENLINEAGE__TRANSPORT" in told(pod(labels={"kubernetes_executor": "True"}))
    assert "AIRFLOW__OPENLINEAGE__TRANSPORT" not in told(pod())


@pytest.mark.requirement("HOUSE-9", "REQ-058", "REQ-539")
@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        ({}, "single-tenant/load-orders"),
        ({"strategy": "centralized", "organization": "acme", "domain": "sales"}, "acme/sales/load-orders"),
        ({"strategy": "mesh", "domain": "sales"}, "domain-sales/load-orders"),
        ({"strategy": "environment", "environment": "prod", "domain": "sales"}, "floe.prod.sales"),
        ({"template": "{organization}.{product}", "organization": "acme"}, "acme.load-orders"),
    ],
)
def test_the_lineage_namespace_follows_the_manifest(namespaces: dict[str, str], expected: str) -> None:
    assert told(pod(), by=profile(namespaces=namespaces))["OPENLINEAGE_NAMESPACE"] == expected


@pytest.mark.requirement("HOUSE-9")
def test_a_pods_annotations_name_product_and_domain() -> None:
    document = pod(annotations={"floe.dev/product": "orders", "floe.dev/domain": "sales"})
    found = told(document, by=profile(namespaces={"strategy": "mesh", "domain": "other"}))
    assert found["OPENLINEAGE_NAMESPACE"] == "domain-sales/orders"


@pytest.mark.requirement("HOUSE-9", "FP-31")
def test_a_bad_part_is_told_and_the_default_holds() -> None:
    document = pod(annotations={"floe.dev/product": "a\nb/$(HOME)"})
    assert told(document)["OPENLINEAGE_NAMESPACE"] == "single-tenant/load-orders"
    assert reasons(document) == (Reason.ANNOTATION_INVALID,)


@pytest.mark.requirement("HOUSE-9")
def test_the_kubernetes_namespace_stands_in_where_a_part_is_missing() -> None:
    platform = profile(namespaces={"strategy": "mesh"})
    assert told(pod(), by=platform)["OPENLINEAGE_NAMESPACE"] == "sales"
    assert reasons(pod(), by=platform) == (Reason.NAMESPACE_INCOMPLETE,)


def test_a_file_without_a_namespace_asks_the_kubelet_for_it() -> None:
    found = told(pod(), namespace="")
    assert "k8s.namespace.name=<metadata.namespace>" in found["OTEL_RESOURCE_ATTRIBUTES"]
    assert found["FLOE_POD_NAMESPACE"] == "<metadata.namespace>"


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ({}, {}, "load-orders"),
        ({"app.kubernetes.io/name": "by-name"}, {}, "by-name"),
        ({"app.kubernetes.io/name": "by-name", "app.kubernetes.io/instance": "by-instance"}, {}, "by-instance"),
        (
            {"app.kubernetes.io/instance": "by-instance"},
            {"resource.opentelemetry.io/service.name": "by-annotation"},
            "by-annotation",
        ),
        ({}, {"resource.opentelemetry.io/service.name": "costs $(HOME)"}, "costs $(HOME)"),
    ],
)
def test_the_service_is_named_by_the_conventions_order(
    labels: dict[str, str], annotations: dict[str, str], expected: str
) -> None:
    assert told(pod(labels=labels, annotations=annotations))["OTEL_SERVICE_NAME"] == expected


def test_labels_name_no_service_where_the_manifest_says_so() -> None:
    platform = profile(injection={"use_labels_for_resource_attributes": False})
    assert told(pod(labels={"app.kubernetes.io/name": "by-name"}), by=platform)["OTEL_SERVICE_NAME"] == "load-orders"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("app", ""),
        ("app:1.2", "1.2"),
        ("registry:5000/app", ""),
        ("registry:5000/team/app:latest", "latest"),
        ("app@sha256:0a", "sha256:0a"),
        ("registry:5000/app:1@sha256:0a", "1@sha256:0a"),
        ("", ""),
    ],
)
def test_a_version_is_read_off_the_image(image: str, version: str) -> None:
    assert image_version(image) == version


@pytest.mark.requirement("HOUSE-4", "HOUSE-7", "FP-12")
def test_without_a_sidecar_and_a_gateway_lineage_goes_to_the_backend_with_an_optional_secret() -> None:
    document = pod(hostNetwork=True)
    entries = {op["value"]["name"]: op["value"] for op in _entries(document)}
    assert entries["OPENLINEAGE_URL"]["value"] == "https://lineage.example"
    assert entries["OPENLINEAGE_ENDPOINT"]["value"] == "base/api/v1/lineage"
    assert entries["OPENLINEAGE_API_KEY"]["value"] == "$(LINEAGE_KEY)"
    assert entries["LINEAGE_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "lineage-credentials", "key": "token", "optional": True}
    }
    assert list(entries).index("LINEAGE_KEY") < list(entries).index("OPENLINEAGE_API_KEY")


def _entries(document: dict[str, Any], by: Profile = PROFILE) -> list[dict[str, Any]]:
    document["spec"]["containers"][0].setdefault("env", [])
    return [op for op in injected(document, by=by).operations if "/env/" in op["path"]]


@pytest.mark.requirement("HOUSE-4", "HOUSE-7")
def test_without_a_sidecar_lineage_goes_to_the_gateway_if_there_is_one() -> None:
    platform = profile(injection={"gateway": {"url": "http://floe-gateway.floe:4327/"}})
    found = told(pod(hostNetwork=True), by=platform)
    assert found["OPENLINEAGE_URL"] == "http://floe-gateway.floe:4327"
    assert "LINEAGE_KEY" not in found
    assert found["OPENLINEAGE_API_KEY"] == "<floe-gateway-token/token>"


@pytest.mark.requirement("HOUSE-5", "HOUSE-7", "FP-12")
def test_without_a_sidecar_the_gateways_token_comes_from_an_optional_secret_also_for_airflow() -> None:
    platform = profile(injection={"gateway": {"url": "http://floe-gateway.floe:4327/", "secret": "tokens", "key": "t"}})
    document = pod(hostNetwork=True, labels={"kubernetes_executor": "True"})
    entries = {op["value"]["name"]: op["value"] for op in _entries(document, platform)}
    assert entries["FLOE_GATEWAY_TOKEN"]["valueFrom"] == {
        "secretKeyRef": {"name": "tokens", "key": "t", "optional": True}
    }
    order = list(entries)
    assert order.index("FLOE_GATEWAY_TOKEN") < order.index("OPENLINEAGE_API_KEY")
    transport = json.loads(entries["AIRFLOW__OPENLINEAGE__TRANSPORT"]["value"])
    assert transport["auth"] == {"type": "api_key", "apiKey": "$(FLOE_GATEWAY_TOKEN)"}


@pytest.mark.requirement("HOUSE-4")
def test_headers_that_a_backend_needs_come_as_a_whole_group() -> None:
    transport = OpenLineageTransport(url="http://b", headers={"X-Tenant": "a"})
    found = told(pod(hostNetwork=True), by=profile(transport=transport))
    assert found["OPENLINEAGE__TRANSPORT__TYPE"] == "http"
    assert found["OPENLINEAGE__TRANSPORT__URL"] == "http://b"
    assert json.loads(found["OPENLINEAGE__TRANSPORT__CUSTOM_HEADERS"]) == {"X-Tenant": "a"}


@pytest.mark.requirement("HOUSE-7")
def test_a_credentials_name_that_the_user_has_taken_keeps_the_group_out() -> None:
    document = pod(container(variables={"LINEAGE_KEY": "theirs"}), hostNetwork=True)
    assert "OPENLINEAGE_URL" not in told(document)
    assert Reason.OUR_NAME_TAKEN in reasons(document)


@pytest.mark.requirement("HOUSE-3")
def test_without_backends_nothing_is_written_about_them() -> None:
    found = told(pod(), by=profile(lineage=False))
    assert not [name for name in found if name.startswith("OPENLINEAGE")]
    found = told(pod(), by=profile(telemetry=False))
    assert not [name for name in found if name.startswith("OTEL")]


@given(pods())
def test_the_quick_way_for_many_containers_is_the_long_way(document: dict[str, Any]) -> None:
    shared, _ = _shared(Facts(document, "sales", None), PROFILE, PROFILE.rules.ports)
    found = [*document["spec"]["containers"], {"name": "last", "image": "a:1"}]
    assert environments(found, shared) == [environment_for(entry, shared) for entry in found]


@pytest.mark.requirement("FP-16")
@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(None, {"a", "b", "setup"}), ("b", {"b"}), (" a , setup ", {"a", "setup"}), ("", {"a", "b", "setup"})],
)
def test_containers_are_chosen_by_name(annotation: str | None, expected: set[str]) -> None:
    document = pod(
        *(container(name) for name in ("istio-proxy", "a", "b")),
        annotations={"floe.dev/containers": annotation} if annotation is not None else None,
        initContainers=[container("setup")],
    )
    assert {entry.name for entry in injected(document).plan.containers} == expected


@pytest.mark.requirement("FP-16")
def test_the_manifest_chooses_containers_too() -> None:
    platform = profile(injection={"containers": {"include": ["a", "setup"], "init_containers": False}})
    document = pod(container("a"), container("b"), initContainers=[container("setup")])
    assert {entry.name for entry in injected(document, by=platform).plan.containers} == {"a"}


@pytest.mark.requirement("FP-16")
def test_an_annotation_that_names_nobody_injects_nothing_and_says_so() -> None:
    found = injected(pod(annotations={"floe.dev/containers": "nobody"}))
    assert found.operations == []
    assert found.plan.decision.reasons == (Reason.CONTAINER_UNKNOWN, Reason.NO_CONTAINER_SELECTED)
