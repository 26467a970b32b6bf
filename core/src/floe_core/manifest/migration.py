"""Old shapes of the manifest, written anew: the text that replaces them is shown with each warning.

| old                                                        | new                                             |
|------------------------------------------------------------|-------------------------------------------------|
| `telemetry_backend:`, `lineage_backend:` at top level      | the same under `plugins:`                       |
| `observability.tracing.endpoint`                           | `injection.collector.{endpoint, protocol}`      |
| `observability.lineage.endpoint`, transport http           | `plugins.lineage_backend` marquez, origin only  |
| `observability.logging`                                    | `logging`; format `text` is `console`           |

Requirements file 000 asks for the migration; an old and a new key for the same thing is an error, never a guess.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from floe_core.errors import Location, Problem
from floe_core.manifest.document import Document, KeyPath, OwnKey, dotted
from floe_core.manifest.suggestions import did_you_mean
from floe_core.redaction import redact_text

_OTLP_GRPC_PORT = 4317
_OBSERVABILITY_KEYS = {
    (): ("tracing", "lineage", "logging"),
    ("tracing",): ("enabled", "exporter", "endpoint"),
    ("lineage",): ("enabled", "transport", "endpoint"),
    ("logging",): ("level", "format"),
}
_KNOWN_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("tracing", "exporter"): ("otlp", "console", "none"),
    ("lineage", "transport"): ("http", "console", "noop"),
}


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An old shape that was understood, and the text that should stand there instead."""

    where: Location
    what: str
    new_text: str

    def __str__(self) -> str:
        """The place and both shapes, over several lines."""
        indented = "".join(f"    {line}\n" for line in self.new_text.splitlines())
        return f"{self.where}: {self.what} Write instead:\n{indented}".rstrip()


@dataclass(slots=True)
class _Rewriting:
    """The document while it is written anew."""

    source: Document
    content: dict[str, Any]
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    deprecations: list[Deprecation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def put(self, new: KeyPath, value: Any, old: KeyPath) -> None:
        """Sets a value at its new path; a value that stands there already is a conflict."""
        *around, last = new
        target: Any = self.content
        for part in around:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                return  # not a mapping: the models will say so
        if last in target:
            what = f"`{dotted(old)}` and `{dotted(new)}` both stand here."
            self.problems.append(Problem(what, self.source.locate(old), f"Keep `{dotted(new)}` only."))
            return
        target[last] = value
        self.origins[new] = old

    def warn(self, old: KeyPath, what: str, new: dict[str, Any]) -> None:
        """Notes what was understood."""
        # It is logged, and what a person has written may hold a credential.
        text = redact_text(_as_yaml(new)) if new else "(nothing)"
        self.deprecations.append(Deprecation(self.source.locate(old), what, text))


def migrate(source: Document) -> tuple[Document, tuple[Deprecation, ...], tuple[Problem, ...]]:
    """The document in today's shape, what was old about it, and what could not be understood."""
    work = _Rewriting(source, deepcopy(source.content))
    for kind in ("telemetry_backend", "lineage_backend"):
        if kind in work.content:
            _move_backend(work, kind)
    if "observability" in work.content:
        _split_observability(work)
    document = replace(source, content=work.content, origins=work.origins)
    return document, tuple(work.deprecations), tuple(work.problems)


def _move_backend(work: _Rewriting, kind: str) -> None:
    value = work.content.pop(kind)
    choice = {"type": value} if isinstance(value, str) else value
    work.put(("plugins", kind), choice, (kind,))
    work.warn((kind,), f"`{kind}:` at the top level is deprecated.", {"plugins": {kind: choice}})


def _split_observability(work: _Rewriting) -> None:
    old = work.content.pop("observability")
    where = work.source.locate(("observability",))
    if not isinstance(old, dict):
        work.problems.append(Problem("`observability:` is deprecated and was no mapping.", where, "Remove it."))
        return
    if problems := _unknown_keys(work.source, old) or _unknown_values(work.source, old):
        work.problems.extend(problems)
        return
    rewrite: dict[str, Callable[[dict[str, Any]], dict[str, tuple[KeyPath, Any]]]] = {
        "tracing": _new_tracing,
        "lineage": _new_lineage,
        "logging": _new_logging,
    }
    new: dict[str, Any] = {}
    for section, values in old.items():
        for key, (path, value) in rewrite[section](values or {}).items():
            work.put(path, value, ("observability", section, key))
            _nest(new, path, value)
    work.warn(("observability",), "`observability:` is deprecated.", new)


def _unknown_keys(source: Document, old: dict[str, Any]) -> list[Problem]:
    problems = []
    sections: list[tuple[tuple[str, ...], Any]] = [((), old)]
    sections += [((name,), old[name]) for name in _OBSERVABILITY_KEYS[()] if old.get(name) is not None]
    for path, section in sections:
        place: KeyPath = ("observability", *path)
        if not isinstance(section, dict):
            problems.append(Problem(f"`{dotted(place)}` is no mapping.", source.locate(place)))
            continue
        known = _OBSERVABILITY_KEYS[path]
        for key in section:
            if key not in known:
                near = did_you_mean(key, known)
                what = f"`{dotted(place)}` (deprecated) has no {f'key `{key}`' if near else 'such key'}."
                remedy = near or "Use `plugins.telemetry_backend` and `plugins.lineage_backend`."
                problems.append(Problem(what, source.locate((*place, key if near else OwnKey(key))), remedy))
    return problems


def _unknown_values(source: Document, old: dict[str, Any]) -> list[Problem]:
    """What the old section could not mean either; left out in silence, a pipeline's lineage would just be gone."""
    problems = []
    for (section, key), known in _KNOWN_VALUES.items():
        value = (old.get(section) or {}).get(key)
        if value is not None and value not in known:
            place: KeyPath = ("observability", section, key)
            what = f"`{dotted(place)}` (deprecated) is not one of {', '.join(known)}."
            remedy = "Use `plugins.telemetry_backend` and `plugins.lineage_backend`."
            problems.append(Problem(what, source.locate(place), remedy))
    return problems


def _new_tracing(old: dict[str, Any]) -> dict[str, tuple[KeyPath, Any]]:
    endpoint = old.get("endpoint")
    if not endpoint or old.get("enabled", True) is False or old.get("exporter", "otlp") != "otlp":
        return {}
    protocol = "grpc" if _port(str(endpoint)) == _OTLP_GRPC_PORT else "http/protobuf"
    return {
        "endpoint": (("injection", "collector", "endpoint"), endpoint),
        "exporter": (("injection", "collector", "protocol"), protocol),
    }


def _new_lineage(old: dict[str, Any]) -> dict[str, tuple[KeyPath, Any]]:
    endpoint = old.get("endpoint")
    if not endpoint or old.get("enabled", True) is False or old.get("transport", "http") != "http":
        return {}
    # The old key held the URL of the events; today's plugin takes the origin and knows the path.
    origin = str(endpoint).removesuffix("/").removesuffix("/api/v1/lineage")
    return {"endpoint": (("plugins", "lineage_backend"), {"type": "marquez", "config": {"url": origin}})}


def _new_logging(old: dict[str, Any]) -> dict[str, tuple[KeyPath, Any]]:
    new: dict[str, tuple[KeyPath, Any]] = {}
    if "level" in old:
        level = str(old["level"]).lower()
        new["level"] = (("logging", "level"), "error" if level == "critical" else level)
    if "format" in old:
        new["format"] = (("logging", "format"), "console" if old["format"] == "text" else old["format"])
    return new


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").port
    except ValueError:
        return None


def _nest(target: dict[str, Any], path: KeyPath, value: Any) -> None:
    *around, last = (str(part) for part in path)
    for part in around:
        target = target.setdefault(part, {})
    target[last] = value


def _as_yaml(content: dict[str, Any]) -> str:
    stream = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(content, stream)
    return stream.getvalue().rstrip()
