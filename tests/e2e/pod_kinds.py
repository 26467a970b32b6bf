"""Pods of every kind that runs pipelines, as their owners make them; each tells lineage and spans with real clients."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.admission import Namespace
from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.images import BASE_IMAGE, PIPELINE_IMAGE
from tests.e2e.workloads import emitting, python

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "pods"

KIND_LABEL = "floe.dev/e2e-kind"
"""Every pod carries its kind, which is also the job that it tells of."""
FAILED = 3
"""The exit code of what is meant to fail."""
RESULT = '{"rows": 7}'

# A span around lineage, with nothing but what the environment says. After that it ends, waits, or runs dbt.
_TELL = """\
import os, signal, subprocess, sys
from datetime import datetime, timezone
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.uuid import generate_new_uuid
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

job, then, *command = sys.argv[1:]
spans = TracerProvider()
spans.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(timeout=60)))
status = 0
with spans.get_tracer("pipeline").start_as_current_span(job):
    if command:
        status = subprocess.run(command, check=False).returncode
    OpenLineageClient().emit(RunEvent(
        eventTime=datetime.now(timezone.utc).isoformat(),
        producer="https://floe.dev/tests",
        run=Run(runId=str(generate_new_uuid())),
        job=Job(namespace="tests", name=job),
        eventType=RunState.FAIL if then.isdigit() else RunState.COMPLETE,
    ))
spans.shutdown()
if then == "serve":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()
sys.exit(int(then) if then.isdigit() else status)
"""

_WAIT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
_DBT = "cp -r /pipeline /scratch/shop && cd /scratch/shop && exec dbt-ol build --profiles-dir ."
_XCOM_SIDECAR = 'trap "exit 0" INT; while true; do sleep 1; done;'


def telling(name: str, job: str, then: str = "end", *command: str) -> dict[str, Any]:
    """A container that tells of a job, then ends as its command did (`end`), fails (a number) or goes on (`serve`)."""
    return python(name, _TELL, job, then, *command, image=PIPELINE_IMAGE)


def cron_job(home: Namespace) -> Manifest:
    """A CronJob whose pod runs a real dbt project on DuckDB, once a day; it was due at the last full minute.

    Its status says that it ran the day before: the controller makes up for what it has missed, so nobody waits.
    """
    container = telling("dbt", "nightly-dbt", "end", "sh", "-c", _DBT) | {
        "env": [
            {"name": "HOME", "value": "/scratch"},
            {"name": "FLOE_DEMO_DUCKDB", "value": "/scratch/warehouse.duckdb"},
            {"name": "DBT_SEND_ANONYMOUS_USAGE_STATS", "value": "false"},
        ],
        "volumeMounts": [{"name": "work", "mountPath": "/scratch"}],
    }
    due = datetime.now(UTC).replace(second=0, microsecond=0)
    template = _template("nightly-dbt", [container], volumes=[{"name": "work", "emptyDir": {}}])
    return _named("batch/v1", "CronJob", home, "nightly-dbt") | {
        "spec": {
            "schedule": f"{due.minute} {due.hour} * * *",
            "timeZone": "Etc/UTC",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        },
        "status": {"lastScheduleTime": (due - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def deployment(home: Namespace) -> Manifest:
    """A Deployment of one pod."""
    return _named("apps/v1", "Deployment", home, "orders-api") | {"spec": _replicas("orders-api")}


def stateful_set(home: Namespace) -> Manifest:
    """A StatefulSet of one pod."""
    spec = _replicas("orders-stream") | {"serviceName": "orders-stream"}
    return _named("apps/v1", "StatefulSet", home, "orders-stream") | {"spec": spec}


def with_init_containers(home: Namespace) -> Manifest:
    """A Job with three init containers and a native sidecar of the user's own among them."""
    own_sidecar = python("cache", _WAIT) | {"restartPolicy": "Always"}
    init_containers = [
        emitting("fetch", "init-fetch"),
        own_sidecar,
        emitting("unpack", "init-unpack"),
        emitting("migrate", "init-migrate"),
    ]
    return _job(home, "after-init", [telling("app", "after-init")], initContainers=init_containers)


def airflow_task(home: Namespace, job: str, then: str) -> Manifest:
    """The pod of Airflow's KubernetesPodOperator, as our example has it, with a result and its sidecar."""
    pod = _example("airflow-kpo.yaml")[0]
    pod["metadata"] |= {"name": job, "namespace": home.name}
    pod["metadata"]["labels"][KIND_LABEL] = job
    base, xcom = pod["spec"]["containers"]
    write = f"echo '{RESULT}' > /airflow/xcom/return.json"
    pod["spec"]["containers"] = [
        telling("base", job, then, "sh", "-c", write) | {"volumeMounts": base["volumeMounts"]},
        xcom | {"image": BASE_IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", _XCOM_SIDECAR]},
    ]
    return pod


def dagster_run(home: Namespace) -> list[Manifest]:
    """A Dagster run that fails, as our example has it: its Job, the ConfigMap of its release, its service account."""
    run, configuration = _example("dagster-run.yaml")
    for document in (run, configuration):
        document["metadata"]["namespace"] = home.name
    template = run["spec"]["template"]
    template["metadata"]["labels"][KIND_LABEL] = "dagster-orders"
    (container,) = template["spec"]["containers"]
    kept = {key: container[key] for key in ("envFrom", "env")}
    template["spec"]["containers"] = [telling("dagster", "dagster-orders", str(FAILED)) | kept]
    return [_named("v1", "ServiceAccount", home, template["spec"]["serviceAccountName"]), configuration, run]


def in_a_strict_namespace(home: Namespace) -> list[Manifest]:
    """A Job without resources of its own, and the limits and the quota of its namespace."""
    limits = {
        "type": "Container",
        "default": {"cpu": "2", "memory": "512Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
        "min": {"cpu": "10m", "memory": "16Mi"},
        "max": {"cpu": "2", "memory": "1Gi"},
    }
    hard = {"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "4", "limits.memory": "2Gi", "pods": "4"}
    return [
        _named("v1", "LimitRange", home, "limits") | {"spec": {"limits": [limits]}},
        _named("v1", "ResourceQuota", home, "quota") | {"spec": {"hard": hard}},
        _job(home, "strict", [telling("app", "strict")]),
    ]


def on_the_nodes_network(home: Namespace) -> Manifest:
    """A Job whose pod shares the node's network: 127.0.0.1 there is everybody's."""
    network = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return _job(home, "host-network", [telling("app", "host-network")], **network)


def _job(home: Namespace, name: str, containers: list[dict[str, Any]], **spec: Any) -> Manifest:
    template = _template(name, containers, **spec)
    return _named("batch/v1", "Job", home, name) | {"spec": {"backoffLimit": 0, "template": template}}


def _replicas(name: str) -> dict[str, Any]:
    template = _template(name, [telling("app", name, "serve")], restartPolicy="Always", terminationGracePeriodSeconds=5)
    return {"replicas": 1, "selector": {"matchLabels": {KIND_LABEL: name}}, "template": template}


def _template(kind: str, containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {KIND_LABEL: kind}},
        "spec": {"restartPolicy": "Never", "containers": containers} | spec,
    }


def _named(api_version: str, kind: str, home: Namespace, name: str) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": home.name}}


def _example(file: str) -> list[Manifest]:
    return list(YAML(typ="safe", pure=True).load_all(EXAMPLES / file))
