"""Pods of every shape, as hypothesis strategies: features that real pods combine, each as the part of a spec it adds.

Most combinations are valid; where one is not, the API server says so of the original already.
"""

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.e2e.admission import IMAGE

Spec = dict[str, Any]

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_GUARANTEED = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}

CONTAINER_FEATURES: Mapping[str, Spec] = {
    "plain variables": {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)/$(UNKNOWN)/$$(A)"}]},
    "a variable twice": {"env": [{"name": "X", "value": "one"}, {"name": "Y", "value": "$(X)"}, {"name": "X"}]},
    "its own OTLP endpoint": {"env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://mine:4317"}]},
    "its own resource attributes": {"env": [{"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "team=a,x=%20"}]},
    "its own lineage": {"env": [{"name": "OPENLINEAGE_URL", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
    "downward variables": {
        "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ]
    },
    "envFrom": {"envFrom": [{"configMapRef": {"name": "c"}}, {"prefix": "P_", "secretRef": {"name": "s"}}]},
    "many variables": {"env": [{"name": f"V{number}", "value": "x" * 100} for number in range(200)]},
    "named ports": {"ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]},
    "the relay's ports": {"ports": [{"containerPort": 4317}, {"containerPort": 4327}, {"containerPort": 4328}]},
    "probes": {
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "readinessProbe": {"exec": {"command": ["true"]}},
        "startupProbe": {"tcpSocket": {"port": 8080}, "failureThreshold": 30},
    },
    "hooks": {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}}},
    "Guaranteed": {"resources": _GUARANTEED},
    "requests only": {"resources": {"requests": {"cpu": "100m"}}},
    "an extended resource": {"resources": {"limits": {"example.com/gpu": "1"}, "requests": {"example.com/gpu": "1"}}},
    "a resize policy": {"resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]},
    "restricted": {"securityContext": RESTRICTED},
    "root": {"securityContext": {"runAsUser": 0, "privileged": True}},
    "a command": {"command": ["dbt", "run"], "args": ["--select", "$(A)"], "workingDir": "/scratch", "tty": True},
    "a mount": {"volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "a"}]},
}

POD_FEATURES: Mapping[str, Spec] = {
    "an init container": {"initContainers": [{"name": "prepare", "image": IMAGE}]},
    "a native sidecar of its own": {
        "initContainers": [
            {"name": "proxy", "image": IMAGE, "restartPolicy": "Always", "ports": [{"containerPort": 15090}]},
            {"name": "migrate", "image": IMAGE, "env": [{"name": "A", "value": "1"}]},
        ]
    },
    "volumes": {
        "volumes": [
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "config", "configMap": {"name": "c", "optional": True}},
            {"name": "all", "projected": {"sources": [{"secret": {"name": "s"}}]}},
        ]
    },
    "a job's pod": {"restartPolicy": "Never", "activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 0},
    "no token": {"automountServiceAccountToken": False},
    "the node's network": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
    "one process namespace": {"shareProcessNamespace": True},
    "a user namespace": {"hostUsers": False},
    "Windows": {"os": {"name": "windows"}, "nodeSelector": {"kubernetes.io/os": "windows"}},
    "Linux": {
        "os": {"name": "linux"},
        "securityContext": {"fsGroup": 2000, "runAsUser": 1000, "supplementalGroups": [7]},
    },
    "sysctls": {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "1024 65535"}]}},
    "scheduling": {
        "schedulingGates": [{"name": "example.com/wait"}],
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"disk": "fast"},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
    },
    "a name service of its own": {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}, "hostname": "a"},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}]},
    "readiness gates": {"readinessGates": [{"conditionType": "example.com/ready"}]},
    "resources of the whole pod": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "2Gi"}}},
    "a critical pod": {"priorityClassName": "system-cluster-critical"},
}

_DATA_VOLUME = {"name": "data", "emptyDir": {}}


def container_specs(name: str) -> st.SearchStrategy[Spec]:
    """A container with up to four features; of two that set one field the later wins."""
    chosen = st.lists(st.sampled_from(sorted(CONTAINER_FEATURES)), max_size=4, unique=True)
    return chosen.map(lambda names: _merged({"name": name, "image": IMAGE}, CONTAINER_FEATURES, names))


@st.composite
def pod_specs(draw: st.DrawFn) -> Spec:
    """A pod's spec with one to three containers and up to three features."""
    containers = [draw(container_specs(name)) for name in ("app", "helper", "extra")[: draw(st.integers(1, 3))]]
    features = draw(st.lists(st.sampled_from(sorted(POD_FEATURES)), max_size=3, unique=True))
    spec = _merged({"containers": containers}, POD_FEATURES, features)
    spec["volumes"] = [*spec.get("volumes", []), _DATA_VOLUME]
    return spec


def _merged(start: Spec, features: Mapping[str, Spec], names: list[str]) -> Spec:
    for name in names:
        start |= copy.deepcopy(features[name])
    return start
