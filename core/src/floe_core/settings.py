"""Settings of a floe process and where each of them came from (requirements file 003 §2.1, §2.2).

Precedence, highest first: command line, environment, `.env`, `floe.yaml`, defaults. An empty variable counts as unset,
as OpenTelemetry asks of its own.

| setting           | variable                      | in floe.yaml                         | default                |
|-------------------|-------------------------------|--------------------------------------|------------------------|
| artifacts_path    | `FLOE_ARTIFACTS_PATH`         | `artifacts_path`                     | `.floe/artifacts.json` |
| compute_target    | `FLOE_COMPUTE_TARGET`         | `compute_target` or `compute.target` | none                   |
| otlp_endpoint     | `OTEL_EXPORTER_OTLP_ENDPOINT` | `otlp_endpoint`                      | none: no export        |
| service_name      | `OTEL_SERVICE_NAME`           | `service_name`                       | `floe-runtime`         |
| lineage_url       | `OPENLINEAGE_URL`             | `lineage_url`                        | none: no lineage       |
| lineage_namespace | `OPENLINEAGE_NAMESPACE`       | `lineage_namespace`                  | `floe`                 |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from floe_core.errors import ConfigurationError, Location, Problem, ValidationError
from floe_core.manifest.document import Document, parse_document, read_text
from floe_core.manifest.suggestions import did_you_mean
from floe_core.redaction import redact_value

COMMAND_LINE = "command line"
DEFAULT = "default"
PROJECT_FILE = Path("floe.yaml")
ENVIRONMENT_FILE = Path(".env")


class FloeSettings(BaseSettings):
    """What a floe process is told; constructed alone it reads the environment, `./.env` and `./floe.yaml`."""

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        extra="ignore",
        case_sensitive=True,
        env_ignore_empty=True,
        env_file=ENVIRONMENT_FILE,
        env_file_encoding="utf-8-sig",
        populate_by_name=True,
    )

    artifacts_path: str = Field(
        default=".floe/artifacts.json", alias="FLOE_ARTIFACTS_PATH", min_length=1, description="Compiled artifacts"
    )
    compute_target: str | None = Field(default=None, alias="FLOE_COMPUTE_TARGET", description="Compute to run on")
    otlp_endpoint: str | None = Field(
        default=None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", description="Collector of our own telemetry; none: no export"
    )
    service_name: str = Field(
        default="floe-runtime", alias="OTEL_SERVICE_NAME", min_length=1, description="Our name in telemetry"
    )
    lineage_url: str | None = Field(
        default=None, alias="OPENLINEAGE_URL", description="Origin of the lineage backend; none: no lineage"
    )
    lineage_namespace: str = Field(
        default="floe", alias="OPENLINEAGE_NAMESPACE", min_length=1, description="Job namespace of our own lineage"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of requirements file 003 §2.1."""
        return init_settings, env_settings, dotenv_settings, ProjectFileSource(settings_cls, PROJECT_FILE)


class _GivenSettings(FloeSettings):
    """Settings whose sources have been read; no file is looked at again."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the constructor is given, and nothing else."""
        return (init_settings,)


class ProjectFileSource(PydanticBaseSettingsSource):
    """The settings in a project's `floe.yaml`; its other keys belong to the project and are left alone."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        super().__init__(settings_cls)
        text = read_text(path) if path.is_file() else ""
        # A file that holds nothing but comments is a project without settings.
        named = any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
        self._document = parse_document(text, file=str(path)) if named else None

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - as inherited
        """A setting's value under its own name."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings that the file names."""
        content = self._document.content if self._document else {}
        found = {name: content[name] for name in self.settings_cls.model_fields if content.get(name) is not None}
        compute = content.get("compute")
        if isinstance(compute, Mapping) and isinstance(compute.get("target"), str):
            found.setdefault("compute_target", compute["target"])
        return found

    def locate(self, name: str) -> Location:
        """Where a setting stands in the file."""
        document = self._document or Document("", {}, {})
        nested = name == "compute_target" and name not in document.content
        return document.locate(("compute", "target") if nested else (name,))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting came from: a source's name and, in a file, the place."""

    source: str
    where: Location | None = None

    def __str__(self) -> str:
        """For people: `environment OTEL_SERVICE_NAME`, `floe.yaml:3:1`."""
        return f"{self.where.file}:{self.where.line}" if self.where and self.where.line else self.source


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with the origin of each."""

    values: FloeSettings
    origins: Mapping[str, Origin]

    def described(self) -> list[dict[str, Any]]:
        """Name, variable, value (credentials masked) and source of each setting, for people and machines."""
        shown = redact_value(self.values.model_dump())
        assert isinstance(shown, Mapping)  # noqa: S101 - a mapping stays a mapping
        return [
            {"name": name, "variable": field.alias, "value": shown[name], "source": str(self.origins[name])}
            for name, field in FloeSettings.model_fields.items()
        ]


def load_settings(
    command_line: Mapping[str, str] | None = None,
    *,
    environment_file: Path = ENVIRONMENT_FILE,
    project_file: Path = PROJECT_FILE,
) -> LoadedSettings:
    """The settings from all sources.

    Args:
        command_line: Settings by name that were given as arguments; they win.
        environment_file: Read if it exists.
        project_file: Read if it exists.

    Raises:
        ConfigurationError: An argument names no setting, or a file cannot be read.
        ValidationError: A value is wrong; says which and where it came from.
    """
    given = dict(command_line or {})
    _refuse_unknown(given)
    project = ProjectFileSource(FloeSettings, project_file)
    environment = EnvSettingsSource(FloeSettings)
    if environment_file.is_file():
        read_text(environment_file)  # says where it cannot be read, which the source below does not
    dotenv = DotEnvSettingsSource(FloeSettings, env_file=environment_file)
    values: dict[str, Any] = {name: field.default for name, field in FloeSettings.model_fields.items()}
    origins = dict.fromkeys(values, Origin(DEFAULT))
    layers: tuple[tuple[dict[str, Any], Callable[[str], Origin]], ...] = (
        (_by_name(project()), lambda name: Origin(project_file.name, project.locate(name))),
        (_by_name(dotenv()), lambda name: Origin(f"{environment_file.name} {_variable(name)}")),
        (_by_name(environment()), lambda name: Origin(f"environment {_variable(name)}")),
        (given, lambda _: Origin(COMMAND_LINE)),
    )
    for layer, origin_of in layers:
        values |= layer
        origins |= {name: origin_of(name) for name in layer}
    try:
        return LoadedSettings(_GivenSettings(**values), origins)
    except pydantic.ValidationError as error:
        raise ValidationError.of("The configuration", [_problem(entry, origins) for entry in error.errors()]) from None


def _by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a source found, by the settings' names in place of variables."""
    names = {field.alias: name for name, field in FloeSettings.model_fields.items()}
    by_name = {names.get(key, key): value for key, value in found.items()}
    return {name: value for name, value in by_name.items() if name in FloeSettings.model_fields}


def _variable(name: str) -> str:
    return FloeSettings.model_fields[name].alias or name


def _refuse_unknown(given: Mapping[str, str]) -> None:
    for name in given:
        if name not in FloeSettings.model_fields:
            known = ", ".join(FloeSettings.model_fields)
            remedy = did_you_mean(name, FloeSettings.model_fields) or f"Known: {known}."
            raise ConfigurationError(f"There is no setting `{name}`.", where=COMMAND_LINE, remedy=remedy)


def _problem(entry: Any, origins: Mapping[str, Origin]) -> Problem:
    name = _by_name({str(entry["loc"][0]): None}).popitem()[0]
    origin = origins[name]
    where = origin.where or Location(path=str(origin))
    return Problem(f"`{name}`: {entry['msg']}.", where, f"Set `{name}` or the variable {_variable(name)}.")
