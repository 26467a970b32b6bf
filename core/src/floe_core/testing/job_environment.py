"""Judges the environment that a lineage plugin gives to a job, and what the real client makes of it."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from floe_core.plugin_interfaces.schemas import job_values_schema
from floe_core.testing.collector import schema_problems

_KUBERNETES_REFERENCE = re.compile(r"(?<!\$)\$\(([A-Za-z_]\w*)\)")
_ORIGIN = re.compile(r"https?://[^\s/@?#]+/?")


def job_values_problems(values: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with values for a job's chart; an empty mapping is fine (nothing to set up)."""
    if not values:
        return []
    return schema_problems(job_values_schema(), values) or list(_environment_problems(values["env"]))


def _environment_problems(env: list[dict[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    for entry in env:
        name, value = entry["name"], entry.get("value", "")
        if name in seen:
            yield f"{name} stands twice"
        for unknown in sorted(set(_KUBERNETES_REFERENCE.findall(value)) - seen):
            # Kubernetes expands what stands earlier in the list and leaves the rest as text.
            yield f"{name} uses $({unknown}), which is not defined before it"
        if "${env:" in value:
            yield f"{name} holds ${{env:…}}, which neither Kubernetes nor the client expands"
        if name == "OPENLINEAGE_URL" and not _ORIGIN.fullmatch(value):
            # openlineage-python joins OPENLINEAGE_ENDPOINT to it: a path would be doubled or cut.
            yield f"OPENLINEAGE_URL is {value!r}, not an origin; the path belongs in OPENLINEAGE_ENDPOINT"
        seen.add(name)


def container_environment(env: list[dict[str, Any]], credential: str) -> dict[str, str]:
    """What a container sees: references expanded as Kubernetes does, every Secret's key holding one credential."""
    seen: dict[str, str] = {}
    for entry in env:
        if "valueFrom" in entry:
            seen[entry["name"]] = credential
            continue
        value = _KUBERNETES_REFERENCE.sub(lambda match: seen.get(match[1], match[0]), entry["value"])
        seen[entry["name"]] = value.replace("$$", "$")
    return seen


@contextmanager
def process_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process with these variables and none of OpenLineage's own, restored afterwards.

    The client writes into `os.environ` itself (it copies the API key), so nothing less than a whole copy will do.
    """
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
