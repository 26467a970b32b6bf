"""What the API answers, as models: its OpenAPI document and its answers come from the same place."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from floe_monitor.store.registrations import RegistrationKind
from floe_monitor.store.registry_views import KnownContract


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ContractSummary(Answer):
    """A contract that is or was watched."""

    id: str = Field(description="domain.product/contract:version")
    name: str = Field(description="domain.product/contract")
    version: str
    active: bool = Field(description="Whether it is watched")
    origin: Literal["api", "directory"] = Field(description="This API, or a file of the monitor's directory")
    registered_at: datetime
    unregistered_at: datetime | None = None

    @classmethod
    def of(cls, known: KnownContract) -> "ContractSummary":
        """From what the store knows."""
        return cls(
            id=f"{known.name}:{known.version}",
            name=known.name,
            version=known.version,
            active=known.active,
            origin="api" if known.is_of_api else "directory",
            registered_at=known.registered_at,
            unregistered_at=known.unregistered_at,
        )


class ContractList(Answer):
    """A page of contracts, by name and version."""

    contracts: list[ContractSummary]
    next: str | None = Field(default=None, description="The identity to give as `after` for the next page")


class Promise(Answer):
    """How a promise stands."""

    check: str
    element: str = Field(description="The part of the contract that it is about; empty where the check has one promise")
    status: str
    measure: float | None = None
    threshold: float | None = None
    last_checked_at: datetime
    consecutive_failures: int


class ContractDetail(ContractSummary):
    """A contract with its document and how its promises stand."""

    document: dict[str, Any] = Field(description="ODCS")
    remarks: list[str] = Field(default=[], description="What it declares and the monitor cannot check")
    promises: list[Promise] = []


class Registration(Answer):
    """What registering a contract did."""

    id: str
    created: bool = Field(description="False if this version was registered already, with the same content")
    remarks: list[str] = Field(default=[], description="What it declares and the monitor cannot check")


class RegistryEvent(Answer):
    """What became of a contract in the registry."""

    kind: RegistrationKind
    at: datetime


class EpisodeSummary(Answer):
    """One trouble of one promise."""

    id: str
    check: str
    element: str
    severity: str
    message: str
    opened_at: datetime
    escalated_at: datetime | None = None
    closed_at: datetime | None = None
    closed_reason: str | None = Field(default=None, description="Why, if it is not that the trouble is over")


class RunSummary(Answer):
    """One run of one check."""

    id: str
    check: str
    status: str
    planned_at: datetime
    checked_at: datetime
    duration_seconds: float


class ContractHistory(Answer):
    """What happened to a contract, the newest first."""

    id: str
    events: list[RegistryEvent]
    episodes: list[EpisodeSummary]
    runs: list[RunSummary] = Field(description="The newest ten of each check")


class PromiseResult(Answer):
    """How one promise stood in a run."""

    element: str
    status: str
    message: str = ""


class RunResult(RunSummary):
    """A run that was asked for."""

    contract: str
    promises: list[PromiseResult]


class ProblemDocument(Answer):
    """One thing that is wrong with a contract."""

    what: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str | None = None
    remedy: str | None = None


class Difference(Answer):
    """What a version that is registered already says otherwise."""

    level: Literal["major", "minor", "patch"]
    path: str
    what: str


class Failure(Answer):
    """Why a request was refused."""

    code: str
    what: str
    remedy: str | None = None
    problems: list[ProblemDocument] = []
    differences: list[Difference] = []
