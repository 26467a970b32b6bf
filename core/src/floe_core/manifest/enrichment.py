"""What sidecars add to the events of their pods."""

from typing import Annotated

from pydantic import Field

from floe_core.manifest.sections import Quantity, Section

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Tag = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,256}$")]


class Enrichment(Section):
    """What the sidecar adds to events; what an event says already is never changed, but for `replaced_namespaces`."""

    pod_run: bool = Field(
        default=True,
        description="Whether the sidecar begins the pod's own run; only where the webhook's leader ends it, "
        "which takes `injection.gateway.url`",
    )
    parent: bool = Field(default=True, description="Whether a run without a parent gets the pod's run as its parent")
    pod: bool = Field(default=True, description="Whether runs get the facet floe_pod: where they ran")
    trace_context: bool = Field(
        default=True, description="Whether runs get the facet floe_traceContext, by `traceparent` or TRACEPARENT"
    )
    replaced_namespaces: Annotated[tuple[Tag, ...], Field(max_length=64)] = Field(
        default=("default", "dbt", "dagster"),
        description="Job namespaces that the pod's takes the place of: what clients say that were told none",
    )
    run_tags: Annotated[dict[Tag, Tag], Field(max_length=64)] = Field(
        default_factory=dict, description="Tags of every run"
    )
    job_tags: Annotated[dict[Tag, Tag], Field(max_length=64)] = Field(
        default_factory=dict, description="Tags of every job"
    )
    environment_variables: Annotated[tuple[VariableName, ...], Field(max_length=64)] = Field(
        default=(),
        description="Variables that runs are told with, e.g. GIT_SHA, if the first container configured has them as "
        "plain text",
    )
    max_bytes: Quantity = Field(default="8Ki", description="The most that is added to an event; whole facets stay out")
