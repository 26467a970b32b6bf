"""Files of documents that a person names, and what is known of the pods in them."""

import click

from floe_core.errors import ConfigurationError
from floe_webhook.decision import Facts
from floe_webhook.documents import KubernetesFile, PodInFile
from floe_webhook.surroundings import Surroundings


def read_documents(filename: str) -> KubernetesFile:
    """The documents of a file; `-` is standard input.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with click.open_file(filename, encoding="utf-8") as stream:
            return KubernetesFile(stream.read(), name=filename)
    except OSError as error:
        raise ConfigurationError(
            f"The file cannot be read: {error.strerror}.", where=filename, remedy="Check its name, or give - for stdin."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError("The file is no UTF-8 text.", where=filename, remedy="Save it as UTF-8.") from None


def facts_of(file: KubernetesFile, pod: PodInFile, namespace_label: str) -> Facts:
    """What is known of a pod of a file in a namespace with this label (empty: without one)."""
    surroundings = Surroundings(owner=pod.owner, known_keys=file.known_keys())
    return Facts(pod.pod, pod.namespace, namespace_label or None, surroundings)
