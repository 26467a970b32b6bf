"""Whether the webhook configuration sends the right pods, each once, and never stands in anybody's way."""

from collections.abc import Iterator, Sequence
from itertools import product

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, Namespace
from floe_webhook.checks.installation import Names
from floe_webhook.checks.label_selectors import Labels, selects
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning
from floe_webhook.pod import Document

_CHECK = Check.WEBHOOK_CONFIGURATION
_RESTORE = "Run `helm upgrade` with the release's values, and see who else writes this object (its managedFields)."
_LONGEST_SECONDS = 10
_MOST_NAMESPACES = 20
_NAME_LABEL = "kubernetes.io/metadata.name"

_WORDS: tuple[str | None, ...] = (None, "enabled", "true", "disabled", "false", "yes")
_OPTED_IN = ("enabled", "true")


def judge_configuration(
    entries: Sequence[Document], names: Names, namespaces: Sequence[Namespace] = ()
) -> list[Finding]:
    """The entries of the configuration, by what they do rather than by how they are written.

    The table is looked at for each of the namespaces, or for some other one if there are none.

    | pod's label     | namespace's label | entries that fire |
    |-----------------|-------------------|-------------------|
    | enabled, true   | any               | one               |
    | any other value | any               | none              |
    | -               | enabled, true     | one               |
    | -               | any other, -      | none              |

    In `kube-system` and in the release's own namespace none fires, ever: a webhook that holds up its own pods or the
    control plane's can deadlock a cluster.
    """
    homes = [namespace.labels for namespace in namespaces] or [{_NAME_LABEL: "any"}]
    found = [*_about_selectors(entries, homes[:_MOST_NAMESPACES]), *_about_excluded(entries, names)]
    for entry in entries:
        found += _about_entry(entry)
    return or_ok(found, _CHECK, f"{len(entries)} entries send each opted-in pod once, and no other.")


async def webhook_configuration(cluster: Cluster) -> list[Finding]:
    """Reads it."""
    configuration = await cluster.configuration()
    if configuration is None:
        name = (await cluster.names()).configuration
        sentence = f"There is no MutatingWebhookConfiguration {name}; no pod is injected."
        return [failed(_CHECK, sentence, "Install the chart, or give the release's name with --release.")]
    try:
        opted_in = await cluster.opted_in()
    except RefusedError:
        opted_in = []
    return judge_configuration(pods.entries(configuration, "webhooks"), await cluster.names(), opted_in)


def fires(entry: Document, namespace: Labels, pod: Labels) -> bool:
    """Whether an entry's selectors take a pod of a namespace."""
    return selects(pods.mapping(entry, "namespaceSelector"), namespace) and selects(
        pods.mapping(entry, "objectSelector"), pod
    )


def _about_selectors(entries: Sequence[Document], homes: Sequence[Labels]) -> Iterator[Finding]:
    """The first row that is wrong, of each home: the table has 36."""
    for home in homes:
        for namespace_word, pod_word in product(_WORDS, _WORDS):
            expected = int((pod_word if pod_word is not None else namespace_word) in _OPTED_IN)
            others = {key: value for key, value in home.items() if key != pods.INJECT_LABEL}
            count = sum(fires(entry, others | _label(namespace_word), _label(pod_word)) for entry in entries)
            if count != expected:
                pod, namespace = _told(pod_word), f"the namespace {home.get(_NAME_LABEL)} {_told(namespace_word)}"
                what = f"A pod {pod} in {namespace} is sent by {_times(count)}, expected {_times(expected)}."
                yield failed(_CHECK, what, _RESTORE)
                break


def _about_excluded(entries: Sequence[Document], names: Names) -> Iterator[Finding]:
    own = [names.namespace] if names.url_host is None else []
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
