"""Whether the webhook runs: replicas that are ready, all of this version."""

from floe_webhook import __version__
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning
from floe_webhook.pod import Document

_CHECK = Check.WEBHOOK_DEPLOYMENT
_VERSION_LABEL = "app.kubernetes.io/version"


def judge_deployment(deployment: Document, command_version: str) -> list[Finding]:
    """A Deployment's state.

    | ready replicas    | verdict |
    |-------------------|---------|
    | all that it wants | ok      |
    | some              | warning |
    | none              | failed  |

    Args:
        deployment: The webhook's.
        command_version: Of this command, which explains what that webhook decides.
    """
    wanted = pods.mapping(deployment, "spec").get("replicas", 1)
    ready = pods.mapping(deployment, "status").get("readyReplicas") or 0
    name = pods.text(deployment, "metadata", "name")
    found = []
    look = f"See why: kubectl describe pods, and /readyz of a pod (port 8080), which names what {name} lacks."
    if ready == 0:
        found.append(failed(_CHECK, f"No replica of {name} is ready; no pod is injected.", look))
    elif ready < wanted:
        found.append(warning(_CHECK, f"{ready} of {wanted} replicas of {name} are ready.", look))
    version = pods.text(pods.labels(deployment), _VERSION_LABEL)
    if version and version != command_version:
        sentence = f"The webhook is version {version}, this command {command_version}; what they decide may differ."
        found.append(warning(_CHECK, sentence, f"Use the command of version {version}, or upgrade the release."))
    return or_ok(found, _CHECK, f"{ready} of {wanted} replicas of {name} are ready, version {version or 'unknown'}.")


async def webhook_deployment(cluster: Cluster) -> list[Finding]:
    """Reads it."""
    names, found = await cluster.names(), await cluster.deployment()
    if found is None:
        sentence = f"There is no Deployment {names.webhook} in the namespace {names.namespace}."
        return [failed(_CHECK, sentence, "Install the chart, or give --release and --release-namespace.")]
    return judge_deployment(found, __version__)
