"""Hypothesis strategies of pods: ordinary ones, odd ones, and those that collide with everything we write."""

from typing import Any

from hypothesis import strategies as st

_NAMES_OF_OTHERS = ["HOME", "A", "B", "DBT_TARGET", "DATABASE_URL"]
_NAMES_OF_OURS = [
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_CONFIG_FILE", "OPENLINEAGE_URL", "OPENLINEAGE_NAMESPACE",
    "OPENLINEAGE_CONTEXT", "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_CONFIG", "OPENLINEAGE_DISABLED",
    "OPENLINEAGE__TRANSPORT__TYPE", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__OPENLINEAGE__TRANSPORT", "FLOE_POD_NAME",
    "FLOE_POD_UID", "LINEAGE_KEY", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
]  # fmt: skip
names = st.sampled_from(_NAMES_OF_OTHERS + _NAMES_OF_OURS)

_parts = st.sampled_from(
    ["", "x", "team=data", "service.name=mine", "a=b=c", ",", "$(A)", "$(OTEL_RESOURCE_ATTRIBUTES)", "$(FLOE_POD_NAME)",
     "$$(A)", "$", "k8s.pod.name=own", "true", "http/protobuf", "é", "my.service.version.x=1"]
)  # fmt: skip
values = st.lists(_parts, max_size=3).map("".join)

_sources = st.sampled_from(
    [
        {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        {"secretKeyRef": {"name": "db", "key": "password"}},
        {"configMapKeyRef": {"name": "settings", "key": "a"}},
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(names)
    shape = draw(st.integers(0, 9))
    if shape == 0:
        return {"name": name}
    if shape <= 2:
        return {"name": name, "valueFrom": draw(_sources)}
    return {"name": name, "value": draw(values)}


_env_from = st.lists(
    st.sampled_from(
        [
            {"configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "otel-settings"}},
            {"prefix": "DB_", "configMapRef": {"name": "lineage"}},
        ]
    ),
    max_size=2,
)

_amounts = st.sampled_from([{"cpu": "1", "memory": "1Gi"}, {"cpu": "500m", "memory": "256Mi"}])
_resources = st.one_of(
    st.none(),
    _amounts.map(lambda amount: {"limits": amount, "requests": dict(amount)}),
    _amounts.map(lambda amount: {"limits": amount}),
    _amounts.map(lambda amount: {"requests": amount}),
)


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "image": draw(st.sampled_from(["app", "r.example:5000/a:1", "a@sha256:0a"]))}
    shape = draw(st.integers(0, 5))
    if shape == 0:
        found["env"] = None
    elif shape > 1:
        found["env"] = draw(st.lists(entries(), max_size=8, unique_by=lambda entry: entry["name"]))
    if sources := draw(_env_from):
        found["envFrom"] = sources
    if (resources := draw(_resources)) is not None:
        found["resources"] = resources
    if ports := draw(st.lists(st.sampled_from([4327, 4328, 8080]), max_size=2, unique=True)):
        found["ports"] = [{"containerPort": port} for port in ports]
    if draw(st.booleans()):
        found["args"] = ["--name", draw(values)]
    if draw(st.booleans()):
        found["futureField"] = {"nested": [1, {"x": None}]}
    return found


_annotations: dict[str, list[str]] = {
    "resource.opentelemetry.io/service.name": ["a,b=c $(A)", "orders", ""],
    "resource.opentelemetry.io/cost.center": ["a,b=c $(A)", "17", ""],
    "kubectl.kubernetes.io/default-container": ["c0", "c1", "i0", "nobody", "istio-proxy"],
    "floe.dev/containers": ["c0", "c0, i0", "", "c0,nobody", "a;b"],
    "floe.dev/exclude-containers": ["c1", "i0, nobody", ","],
    "floe.dev/init-containers": ["true", "false", "perhaps"],
    "floe.dev/environment-only": ["true", "disabled", "orders"],
    "floe.dev/sidecar-cpu-request": ["20m", "1", "64", "x"],
    "floe.dev/sidecar-cpu-limit": ["15m", "1000m", "0"],
    "floe.dev/sidecar-memory-request": ["48Mi", "96Mi", "1Ti"],
    "floe.dev/sidecar-memory-limit": ["64Mi", "0.1Gi", "64"],
    "floe.dev/sidecar-log-level": ["debug", "loud"],
    "floe.dev/product": ["orders", "a\nb/$(A)", "x" * 200],
    "floe.dev/environment": ["staging", "$(A)"],
    "floe.dev/tenant": ["acme"],
    "floe.dev/lineage-namespace": ["sales/load", "finance/load", "a b"],
    "floe.dev/contaners": ["c0"],
    "openshift.io/scc": ["restricted", "restricted-v2", "anyuid"],
    "note": ["a,b=c $(A)", ""],
}
annotations = st.lists(
    st.sampled_from([(name, text) for name, texts in _annotations.items() for text in texts]), max_size=5
).map(dict)
"""Annotations of ours and of others, good ones and bad ones."""

_shapes: list[dict[str, Any]] = [
    {},
    {"hostNetwork": True},
    {"hostUsers": False},
    {"shareProcessNamespace": True},
    {"terminationGracePeriodSeconds": 3},
    {"securityContext": {"runAsUser": 0, "fsGroup": 2000}},
    {"imagePullSecrets": [{"name": "registry"}, {"name": "own"}]},
    {"imagePullSecrets": None},
    {"resources": {"limits": {"cpu": "2", "memory": "2Gi"}}},
]


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """Pods that opted in and that an API server could have sent."""
    labels = {"floe.dev/inject": draw(st.sampled_from(["enabled", "true"]))}
    labels |= draw(
        st.dictionaries(
            st.sampled_from(["app.kubernetes.io/name", "app.kubernetes.io/version", "team", "kubernetes_executor"]),
            st.sampled_from(["orders", "1.0", "True"]),
        )
    )
    metadata: dict[str, Any] = {"labels": labels, "creationTimestamp": None}
    metadata |= draw(st.sampled_from([{"name": "one"}, {"generateName": "one-"}]))
    metadata |= draw(st.sampled_from([{}, {"annotations": draw(annotations)}, {"annotations": None}]))
    owners = st.sampled_from([("Job", "load-29391840"), ("ReplicaSet", "web-abc"), ("StatefulSet", "db")])
    if draw(st.booleans()):
        kind, name = draw(owners)
        metadata["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    spec: dict[str, Any] = {"containers": [draw(containers(f"c{at}")) for at in range(draw(st.integers(1, 3)))]}
    inits = [draw(containers(f"i{at}")) for at in range(draw(st.integers(0, 2)))]
    spec |= draw(st.sampled_from([{"initContainers": inits}, {"initContainers": None}, {}]))
    volumes = draw(st.lists(st.sampled_from(["data", "floe-spool"]), max_size=2, unique=True))
    spec |= draw(st.sampled_from([{"volumes": [{"name": name, "emptyDir": {}} for name in volumes]}, {}]))
    spec |= draw(st.sampled_from(_shapes))
    if draw(st.booleans()):
        spec |= {"schedulerName": "default-scheduler", "serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}
