"""Why a pod is injected, only partly injected or left alone: every reason a code, a sentence and a remedy.

Metrics, annotations, the command and the documentation take their words from here and from nowhere else.
"""

from enum import StrEnum


class Effect(StrEnum):
    """What a reason does to a pod."""

    NOT_INJECTED = "not_injected"
    ENVIRONMENT_ONLY = "environment_only"
    REMARK = "remark"


class Reason(StrEnum):
    """One reason; the value is its code."""

    NOT_OPTED_IN = "not_opted_in"
    POD_OPTED_OUT = "pod_opted_out"
    POD_LABEL_UNKNOWN = "pod_label_unknown"
    NAMESPACE_LABEL_UNKNOWN = "namespace_label_unknown"
    NAMESPACE_EXCLUDED = "namespace_excluded"
    MIRROR_POD = "mirror_pod"
    CLUSTER_CRITICAL = "cluster_critical"
    ALREADY_INJECTED = "already_injected"
    INJECTED_OTHERWISE = "injected_otherwise"
    NO_BACKEND = "no_backend"
    NO_CONTAINER_SELECTED = "no_container_selected"
    ANNOTATIONS_FULL = "annotations_full"
    SHAPE_UNKNOWN = "shape_unknown"

    HOST_NETWORK = "host_network"
    WINDOWS = "windows"
    ENVIRONMENT_ONLY_ASKED = "environment_only_asked"
    SIDECAR_DISABLED = "sidecar_disabled"
    NOTHING_TO_RELAY = "nothing_to_relay"
    NAME_TAKEN = "name_taken"
    NO_FREE_PORT = "no_free_port"
    KUBERNETES_TOO_OLD = "kubernetes_too_old"
    SIDECAR_DOES_NOT_START = "sidecar_does_not_start"
    QUOTA_EXCEEDED = "quota_exceeded"
    LIMIT_RANGE = "limit_range"

    PORT_MOVED = "port_moved"
    ANNOTATION_INVALID = "annotation_invalid"
    ANNOTATION_FORBIDDEN = "annotation_forbidden"
    ANNOTATION_UNKNOWN = "annotation_unknown"
    DEFAULT_CONTAINER_ONLY = "default_container_only"
    PROCESSES_SHARED = "processes_shared"
    PULL_SECRETS_LEFT_OUT = "pull_secrets_left_out"
    UPGRADED = "upgraded"
    CONTAINER_UNKNOWN = "container_unknown"
    NAMESPACE_INCOMPLETE = "namespace_incomplete"
    ENV_FROM_UNSEEN = "env_from_unseen"
    ENV_FROM_SPEAKS_OF_IT = "env_from_speaks_of_it"
    OTEL_CONFIG_FILE = "otel_config_file"
    EXPORTER_IS_USERS = "exporter_is_users"
    RESOURCE_ATTRIBUTES_UNREADABLE = "resource_attributes_unreadable"
    RESOURCE_ATTRIBUTES_REFERENCED = "resource_attributes_referenced"
    OPENLINEAGE_CONFIG = "openlineage_config"
    LINEAGE_DISABLED = "lineage_disabled"
    LINEAGE_IS_USERS = "lineage_is_users"
    PARENT_IS_USERS = "parent_is_users"
    AIRFLOW_LINEAGE_IS_USERS = "airflow_lineage_is_users"
    OUR_NAME_TAKEN = "our_name_taken"
    LIMITS_UNSEEN = "limits_unseen"
    SECRET_MISSING = "secret_missing"  # noqa: S105 - a reason's code
    SECRET_KEY_MISSING = "secret_key_missing"  # noqa: S105 - a reason's code

    @property
    def effect(self) -> Effect:
        """Whether the reason keeps us out, keeps the sidecar out, or is only told."""
        return _TEXTS[self][0]

    @property
    def sentence(self) -> str:
        """What is the case."""
        return _TEXTS[self][1]

    @property
    def remedy(self) -> str:
        """What to do if that is not wanted; empty if nothing can be done."""
        return _TEXTS[self][2]


_NO, _PART, _TOLD = Effect.NOT_INJECTED, Effect.ENVIRONMENT_ONLY, Effect.REMARK

_TEXTS: dict[Reason, tuple[Effect, str, str]] = {
    Reason.NOT_OPTED_IN: (
        _NO,
        "Neither the pod nor its namespace carries the label floe.dev/inject.",
        "Label the namespace (kubectl label namespace NAME floe.dev/inject=enabled) or the pod.",
    ),
    Reason.POD_OPTED_OUT: (
        _NO,
        "The pod's own label floe.dev/inject says no.",
        "Remove the label from the pod, or set it to enabled.",
    ),
    Reason.POD_LABEL_UNKNOWN: (
        _NO,
        "The pod's label floe.dev/inject has a value that means nothing.",
        "Use enabled or true, disabled or false.",
    ),
    Reason.NAMESPACE_LABEL_UNKNOWN: (
        _NO,
        "The namespace's label floe.dev/inject has a value that means nothing.",
        "Use enabled or true, disabled or false.",
    ),
    Reason.NAMESPACE_EXCLUDED: (
        _NO,
        "Pods of kube-system, of kube-node-lease and of floe's own namespace are never injected.",
        "Run the workload in a namespace of its own.",
    ),
    Reason.MIRROR_POD: (
        _NO,
        "The pod mirrors a static pod of a node; the kubelet has started it already.",
        "",
    ),
    Reason.CLUSTER_CRITICAL: (
        _NO,
        "The pod's priority class says that the cluster depends on it.",
        "Give the workload a priority class that does not start with system-.",
    ),
    Reason.ALREADY_INJECTED: (
        _NO,
        "The pod has the label floe.dev/injected or a container floe-sidecar, but no record of what was written.",
        "Remove both from the pod's template if they were copied from a running pod.",
    ),
    Reason.INJECTED_OTHERWISE: (
        _NO,
        "The pod was injected before by another version or for another manifest; it is left as it is.",
        "Run floe uninject on the file, then floe inject; or set injection.upgrade_injected: true in the manifest.",
    ),
    Reason.NO_BACKEND: (
        _NO,
        "The manifest names neither a telemetry backend nor a lineage backend that pods can use.",
        "Set plugins.telemetry_backend or plugins.lineage_backend in the manifest.",
    ),
    Reason.NO_CONTAINER_SELECTED: (
        _NO,
        "No container of the pod is selected.",
        "Look at injection.containers in the manifest and at the pod's annotation floe.dev/containers.",
    ),
    Reason.ANNOTATIONS_FULL: (
        _NO,
        "The pod's annotations leave no room for the record of what was added (Kubernetes allows 256 KiB in all).",
        "Move large annotations elsewhere.",
    ),
    Reason.SHAPE_UNKNOWN: (
        _NO,
        "A part of the pod is of another type than Kubernetes has there (env: as a mapping, for one).",
        "Correct the document; the API server would refuse it.",
    ),
    Reason.HOST_NETWORK: (
        _PART,
        "The pod uses the node's network, where the sidecar's ports would be the node's; it sends to the gateway.",
        "Set hostNetwork: false if the pod can do without.",
    ),
    Reason.WINDOWS: (
        _PART,
        "The pod runs on Windows, for which there is no sidecar image; it sends to the gateway.",
        "",
    ),
    Reason.ENVIRONMENT_ONLY_ASKED: (
        _PART,
        "The pod's annotation floe.dev/environment-only asks for no sidecar.",
        "Remove the annotation.",
    ),
    Reason.SIDECAR_DISABLED: (
        _PART,
        "The manifest switches the sidecar off.",
        "Set injection.sidecar.enabled: true in the manifest.",
    ),
    Reason.NOTHING_TO_RELAY: (
        _PART,
        "The manifest names nothing that a sidecar would relay.",
        "Set plugins.lineage_backend in the manifest to a backend that takes HTTP.",
    ),
    Reason.NAME_TAKEN: (
        _PART,
        "A volume of the pod has a name that the sidecar's volumes need.",
        "Rename the volumes that start with floe-.",
    ),
    Reason.NO_FREE_PORT: (
        _PART,
        "The pod's containers declare all ports that the sidecar could take.",
        "Set injection.sidecar.port and injection.sidecar.health_port in the manifest.",
    ),
    Reason.KUBERNETES_TOO_OLD: (
        _PART,
        "The API server or a node's kubelet does not keep native sidecars; the pod would hang before it starts.",
        "Upgrade API server and nodes to Kubernetes 1.29 or later, and leave the gate SidecarContainers on.",
    ),
    Reason.SIDECAR_DOES_NOT_START: (
        _PART,
        "The sidecar's image cannot be pulled or its container crashes; a pod with it would not start.",
        "Look at the sidecar of a pod that hangs, or at the probe pod; set injection.sidecar.image to one that runs.",
    ),
    Reason.QUOTA_EXCEEDED: (
        _PART,
        "The sidecar's requests or limits do not fit what a ResourceQuota of the namespace has left.",
        "Raise the quota, or lower injection.sidecar.resources.",
    ),
    Reason.LIMIT_RANGE: (
        _PART,
        "A LimitRange of the namespace does not allow the sidecar's requests or limits, or the pod's with them.",
        "Set injection.sidecar.resources within the range, or change the range.",
    ),
    Reason.PORT_MOVED: (
        _TOLD,
        "A container declares one of the sidecar's ports; the sidecar takes the next free one.",
        "",
    ),
    Reason.ANNOTATION_INVALID: (
        _TOLD,
        "An annotation under floe.dev/ has a value that cannot be used; the default holds.",
        "Correct the value; docs/annotations.md has what each takes.",
    ),
    Reason.ANNOTATION_FORBIDDEN: (
        _TOLD,
        "An annotation under floe.dev/ asks for what the platform does not allow; the default holds.",
        "Remove it, or ask for injection.overrides in the manifest to allow it.",
    ),
    Reason.ANNOTATION_UNKNOWN: (
        _TOLD,
        "There is no such annotation under floe.dev/; it has no effect.",
        "Correct the name; docs/annotations.md lists all.",
    ),
    Reason.DEFAULT_CONTAINER_ONLY: (
        _TOLD,
        "The annotation kubectl.kubernetes.io/default-container names one container; the others are not configured.",
        "Name all that are to be configured in the annotation floe.dev/containers.",
    ),
    Reason.PROCESSES_SHARED: (
        _TOLD,
        "The pod shares its process namespace: a container of the sidecar's user, or root, can read what it may read.",
        "Set shareProcessNamespace: false, or run the containers as another user.",
    ),
    Reason.PULL_SECRETS_LEFT_OUT: (
        _TOLD,
        "In a file the sidecar's image pull secrets are left out: with them the service account's would not be added.",
        "Let the webhook inject the pods, or add the secrets to the service account.",
    ),
    Reason.UPGRADED: (
        _TOLD,
        "The pod came injected by an older version or manifest; that was taken out and it was injected anew.",
        "",
    ),
    Reason.CONTAINER_UNKNOWN: (
        _TOLD,
        "The annotation floe.dev/containers or floe.dev/exclude-containers names a container that the pod lacks.",
        "Correct the name.",
    ),
    Reason.NAMESPACE_INCOMPLETE: (
        _TOLD,
        "The lineage namespace needs a part that nobody gives; the Kubernetes namespace stands in for it.",
        "Set the part under namespaces: in the manifest, or annotate the pod with floe.dev/<part>.",
    ),
    Reason.ENV_FROM_UNSEEN: (
        _TOLD,
        "Keys of a ConfigMap or Secret under envFrom cannot be seen here; assumed is that none is one of ours.",
        "Set a variable that has to win under env:, or put telemetry or lineage into the source's name.",
    ),
    Reason.ENV_FROM_SPEAKS_OF_IT: (
        _TOLD,
        "The name of a ConfigMap or Secret under envFrom speaks of telemetry or lineage; ours stay out.",
        "Rename the source if it does not configure telemetry or lineage.",
    ),
    Reason.OTEL_CONFIG_FILE: (
        _TOLD,
        "OTEL_CONFIG_FILE is set: the SDK reads that file and ignores every other OTEL_ variable, so none is written.",
        "Configure the exporter in that file, or remove the variable.",
    ),
    Reason.EXPORTER_IS_USERS: (
        _TOLD,
        "The container configures its OTLP exporter itself; endpoint, protocol and headers stay as they are.",
        "Remove the OTEL_EXPORTER_OTLP_ variables from the pod.",
    ),
    Reason.RESOURCE_ATTRIBUTES_UNREADABLE: (
        _TOLD,
        "OTEL_RESOURCE_ATTRIBUTES comes from elsewhere or cannot be parsed; nothing is added to it.",
        "Give it as key=value,key=value with percent-encoded values.",
    ),
    Reason.RESOURCE_ATTRIBUTES_REFERENCED: (
        _TOLD,
        "Another value refers to $(OTEL_RESOURCE_ATTRIBUTES) and would change with it; nothing is added to it.",
        "Remove the reference, or the variable.",
    ),
    Reason.OPENLINEAGE_CONFIG: (
        _TOLD,
        "OPENLINEAGE_CONFIG names a file, which beats every variable that could be written.",
        "Configure the transport in that file, or remove the variable.",
    ),
    Reason.LINEAGE_DISABLED: (
        _TOLD,
        "OPENLINEAGE_DISABLED switches lineage off in this container.",
        "Remove the variable.",
    ),
    Reason.LINEAGE_IS_USERS: (
        _TOLD,
        "The container configures its OpenLineage transport itself; it stays as it is.",
        "Remove OPENLINEAGE_URL, OPENLINEAGE_ENDPOINT, OPENLINEAGE_API_KEY and OPENLINEAGE__TRANSPORT__ variables.",
    ),
    Reason.PARENT_IS_USERS: (
        _TOLD,
        "The container names its parent run itself; it stays the parent.",
        "Remove OPENLINEAGE_CONTEXT, OPENLINEAGE_PARENT_ID and OPENLINEAGE_ROOT_PARENT_ID.",
    ),
    Reason.AIRFLOW_LINEAGE_IS_USERS: (
        _TOLD,
        "AIRFLOW__OPENLINEAGE__ variables configure Airflow's transport already; it stays as it is.",
        "Remove transport, config_path, config_conn_id or disabled from Airflow's [openlineage] section.",
    ),
    Reason.OUR_NAME_TAKEN: (
        _TOLD,
        "The container defines a variable that ours would have to refer to; what depends on it is left out.",
        "Rename the variable (FLOE_… and the names under credentials: in the manifest are ours).",
    ),
    Reason.LIMITS_UNSEEN: (
        _TOLD,
        "The namespace's ResourceQuotas and LimitRanges could not be looked at; it is assumed that the sidecar fits.",
        "Let the webhook get and list resourcequotas and limitranges, or look at the API server's answering times.",
    ),
    Reason.SECRET_MISSING: (
        _TOLD,
        "A Secret of a credential does not exist in the pod's namespace; the pod starts and sends without it.",
        "Create the Secret that the manifest names under credentials: in the namespace (floe check names it).",
    ),
    Reason.SECRET_KEY_MISSING: (
        _TOLD,
        "A credential's Secret lacks the key that the manifest names; the pod starts and sends without it.",
        "Add the key to the Secret, or name the right one under credentials: in the manifest.",
    ),
}
