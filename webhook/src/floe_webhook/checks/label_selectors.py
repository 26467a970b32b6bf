"""Kubernetes label selectors, as the API server understands them (meta/v1 LabelSelector)."""

from collections.abc import Mapping

from floe_webhook import pod as pods
from floe_webhook.pod import Document

Labels = Mapping[str, str]


def selects(selector: Document, labels: Labels) -> bool:
    """Whether a selector takes an object with these labels; an empty one takes everything."""
    wanted = pods.mapping(selector, "matchLabels")
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in pods.entries(selector, "matchExpressions")
    )


def _holds(expression: Document, labels: Labels) -> bool:
    key, values = pods.text(expression, "key"), pods.entries(expression, "values")
    match pods.text(expression, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values  # an object without the label, too
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
