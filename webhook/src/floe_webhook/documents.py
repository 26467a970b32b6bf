"""Files of Kubernetes documents: reads them, finds the pods in them, writes them back as their author laid them out.

Comments, key order, quotes and the indentation of lists stay, as far as ruamel.yaml can keep them.
"""

import copy
import io
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from floe_core.errors import Location, ValidationError
from floe_webhook import pod as pods
from floe_webhook.owners import Owner
from floe_webhook.patch import Operation
from floe_webhook.surroundings import KnownKeys

_INDENTED_LIST = re.compile(r"^( *)[^\s#-][^\n]*:[ ]*\n(?:[ ]*#[^\n]*\n)*\1 +- ", re.MULTILINE)
_WIDTH = 1_000_000


@dataclass(frozen=True, slots=True)
class PodInFile:
    """A pod or pod template in a document.

    Attributes:
        document: The whole document; the pod lies at `path` in it.
        owner: The workload that the document is; None for a bare pod.
    """

    document: MutableMapping[str, Any]
    path: tuple[str, ...]
    owner: Owner | None

    @property
    def pod(self) -> Mapping[str, Any]:
        """The pod or pod template itself."""
        return pods.mapping(self.document, *self.path)

    @property
    def title(self) -> str:
        """Kind and name, as a person would call it."""
        name = pods.text(self.document, "metadata", "name") or pods.text(self.document, "metadata", "generateName")
        return f"{pods.text(self.document, 'kind')}/{name or '?'}"

    @property
    def namespace(self) -> str:
        """Its namespace, as far as the file says."""
        return pods.text(self.document, "metadata", "namespace") or pods.text(self.pod, "metadata", "namespace")

    def apply(self, operations: Sequence[Operation]) -> None:
        """Carries out operations that start at the document."""
        if operations:
            self._unshare()
            # A copy, so that no two containers share a node, which YAML would write as an anchor and an alias.
            own = orjson.loads(orjson.dumps(list(operations)))
            jsonpatch.JsonPatch(own).apply(self.document, in_place=True)

    def _unshare(self) -> None:
        """Gives each place its own node: what two aliases share would be changed twice."""
        seen: set[int] = set()
        node: Any = self.document
        for key in (*self.path, "spec"):
            node = node.get(key) if isinstance(node, Mapping) else None
            _unshare(node, seen)
        _unshare(pods.mapping(self.document, *self.path).get("metadata"), set())


def _unshare(node: Any, seen: set[int]) -> None:
    children: Iterator[tuple[Any, Any]]
    if isinstance(node, MutableMapping):
        children = iter(list(node.items()))
    elif isinstance(node, list):
        children = iter(list(enumerate(node)))
    else:
        return
    for key, child in children:
        if not isinstance(child, MutableMapping | list):
            continue
        if id(child) in seen:
            node[key] = _without_anchors(copy.deepcopy(child))
        seen.add(id(child))
        _unshare(node[key], seen)


def _without_anchors(node: Any) -> Any:
    if hasattr(node, "yaml_anchor") and node.yaml_anchor() is not None:
        node.anchor.value = None
    return node


class KubernetesFile:
    """The documents of one file or of standard input."""

    def __init__(self, text: str, *, name: str) -> None:
        """Reads the text.

        Raises:
            ValidationError: It is no YAML; says where.
        """
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = _WIDTH
        if _INDENTED_LIST.search(text):
            self._yaml.indent(mapping=2, sequence=4, offset=2)
        self._starts_explicitly = text.lstrip().startswith("---")
        try:
            self.documents: list[Any] = list(self._yaml.load_all(text))
        except YAMLError as error:
            mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
            place = Location(file=name, line=mark.line + 1, column=mark.column + 1) if mark else Location(file=name)
            problem = (error.problem if isinstance(error, MarkedYAMLError) else None) or "it cannot be parsed"
            raise ValidationError(
                f"The file is no YAML: {problem}.", where=place, remedy="Correct it at that place."
            ) from None

    def pods(self) -> Iterator[PodInFile]:
        """Every pod and pod template, those in a List included."""
        for document in self._each():
            kind = pods.text(document, "kind")
            path = pods.TEMPLATE_PATHS.get(kind)
            if path is not None and pods.mapping(document, *path):
                name = pods.text(document, "metadata", "name")
                yield PodInFile(document, path, Owner(kind, name) if path and name else None)

    def known_keys(self) -> KnownKeys:
        """Keys of the ConfigMaps and Secrets that stand in the file themselves."""
        references = {"ConfigMap": "configMapRef", "Secret": "secretRef"}
        found: dict[tuple[str, str], set[str]] = {}
        for document in self._each():
            reference = references.get(pods.text(document, "kind"))
            if reference:
                keys = {key for part in ("data", "stringData", "binaryData") for key in pods.mapping(document, part)}
                found[reference, pods.text(document, "metadata", "name")] = keys
        return found

    def text(self) -> str:
        """The documents as YAML."""
        stream = io.StringIO()
        self._yaml.explicit_start = self._starts_explicitly
        self._yaml.dump_all(self.documents, stream)
        return stream.getvalue()

    def _each(self) -> Iterator[MutableMapping[str, Any]]:
        waiting = list(self.documents)
        while waiting:
            document = waiting.pop(0)
            if not isinstance(document, MutableMapping):
                continue
            if pods.text(document, "kind").endswith("List"):
                waiting = [*pods.entries(document, "items"), *waiting]
            else:
                yield document
