"""Whether the webhook configuration sends the right pods, each once, and never stands in anybody's way."""

from collections.abc import Iterator, Sequence

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, Names
from floe_webhook.checks.label_selectors import Labels, selects
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning
from floe_webhook.pod import Document

_CHECK = Check.WEBHOOK_CONFIGURATION
_RESTORE = "Run `helm upgrade` with the release's values, and see who else writes this object (its managedFields)."
_LONGEST_SECONDS = 10
_NAME_LABEL = "kubernetes.io/metadata.name"

_WORDS: tuple[str | None, ...] = (None, "enabled", "true", "disabled", "false", "yes")
_OPTED_IN = ("enabled", "true")


def judge_configuration(entries: Sequence[Document], names: Names) -> list[Finding]:
    """The entries of the configuration, by what they do rather than by how they are written.

    | pod's label     | namespace's label | entries that fire |
    |-----------------|-------------------|-------------------|
    | enabled, true   | any               | one               |
    | any other value | any               | none              |
    | -               | enabled, true     | one               |
    | -               | any other, -      | none              |

    In `kube-system` and in the release's own namespace none fires, ever: a webhook that holds up its own pods or the
    control plane's can deadlock a cluster.
    """
    found = [*_about_selectors(entries), *_about_excluded(entries, names)]
    for entry in entries:
        found += _about_entry(entry)
    return or_ok(found, _CHECK, f"{len(entries)} entries send each opted-in pod once, and no other.")


async def webhook_configuration(cluster: Cluster) -> list[Finding]:
    """Reads it."""
    configuration = await cluster.configuration()
    if configuration is None:
        sentence = f"There is no MutatingWebhookConfiguration {cluster.choices.release}; no pod is injected."
        return [failed(_CHECK, sentence, "Install the chart, or give the release's name with --release.")]
    return judge_configuration(pods.entries(configuration, "webhooks"), await cluster.names())


def fires(entry: Document, namespace: Labels, pod: Labels) -> bool:
    """Whether an entry's selectors take a pod of a namespace."""
    return selects(pods.mapping(entry, "namespaceSelector"), namespace) and selects(
        pods.mapping(entry, "objectSelector"), pod
    )


def _about_selectors(entries: Sequence[Document]) -> Iterator[Finding]:
    for namespace_word in _WORDS:
        for pod_word in _WORDS:
            expected = (pod_word if pod_word is not None else namespace_word) in _OPTED_IN
            namespace = {_NAME_LABEL: "sales"} | _label(namespace_word)
            count = sum(fires(entry, namespace, _label(pod_word)) for entry in entries)
            if count == int(expected):
                continue
            what = f"A pod {_told(pod_word)} in a namespace {_told(namespace_word)} is sent by {_times(count)}"
            yield failed(_CHECK, f"{what}, expected {_times(int(expected))}.", _RESTORE)
            return  # one example says it; the table has 36 rows


def _about_excluded(entries: Sequence[Document], names: Names) -> Iterator[Finding]:
    own = [names.namespace] if names.in_cluster else []
    for name in ("kube-system", *own):
        namespace = {_NAME_LABEL: name, pods.INJECT_LABEL: "enabled"}
        if any(fires(entry, namespace, _label(word)) for entry in entries for word in (None, "enabled")):
            sentence = f"Pods of {name} can be sent to the webhook, which may deadlock the cluster when it is away."
            yield failed(_CHECK, sentence, _RESTORE)


def _about_entry(entry: Document) -> Iterator[Finding]:
    name = pods.text(entry, "name")
    if pods.text(entry, "failurePolicy") != "Ignore":
        sentence = f"The entry {name} has failurePolicy {pods.text(entry, 'failurePolicy') or 'Fail'}: while the "
        yield failed(_CHECK, f"{sentence}webhook is away, no opted-in pod can be created.", _RESTORE)
    seconds = entry.get("timeoutSeconds") or _LONGEST_SECONDS
    if seconds > _LONGEST_SECONDS:
        yield warning(
            _CHECK,
            f"The entry {name} waits up to {seconds} s: a webhook that does not answer delays each pod as long.",
            "Set the chart's value webhook.timeoutSeconds to 5.",
        )
    if pods.text(entry, "reinvocationPolicy") != "IfNeeded":
        sentence = f"The entry {name} is not called again (reinvocationPolicy) after another injector's change."
        yield warning(_CHECK, sentence, _RESTORE)
    if pods.text(entry, "sideEffects") not in {"None", "NoneOnDryRun"}:
        yield warning(_CHECK, f"The entry {name} is not called on dry runs (sideEffects).", _RESTORE)
    rules = pods.entries(entry, "rules")
    if not any(
        "pods" in pods.entries(rule, "resources") and "CREATE" in pods.entries(rule, "operations") for rule in rules
    ):
        yield failed(_CHECK, f"The entry {name} does not ask for pods that are created.", _RESTORE)


def _label(word: str | None) -> dict[str, str]:
    return {} if word is None else {pods.INJECT_LABEL: word}


def _told(word: str | None) -> str:
    return f"without the label {pods.INJECT_LABEL}" if word is None else f"with {pods.INJECT_LABEL}={word}"


def _times(count: int) -> str:
    return {0: "no entry", 1: "one entry"}.get(count, f"{count} entries")
