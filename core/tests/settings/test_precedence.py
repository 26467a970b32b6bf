"""Settings come from the command line, the environment, `.env`, `floe.yaml` or the defaults, in this order."""

from itertools import pairwise
from pathlib import Path

import pytest

from floe_core.errors import ConfigurationError, ValidationError
from floe_core.settings import FloeSettings, LoadedSettings, load_settings

pytestmark = pytest.mark.requirement("CC-2.1", "CC-2.2")


@pytest.fixture(autouse=True)
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without files, and no variable of ours."""
    for field in FloeSettings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(loaded: LoadedSettings, name: str) -> tuple[object, str]:
    return getattr(loaded.values, name), str(loaded.origins[name])


def test_the_defaults_are_those_of_the_requirements() -> None:
    loaded = load_settings()
    assert loaded.values.model_dump() == {
        "artifacts_path": ".floe/artifacts.json",
        "compute_target": None,
        "otlp_endpoint": None,
        "service_name": "floe-runtime",
        "lineage_url": None,
        "lineage_namespace": "floe",
    }
    assert {str(origin) for origin in loaded.origins.values()} == {"default"}


def test_each_source_beats_the_ones_below_it(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [source(load_settings(), "service_name")]
    (empty_project / "floe.yaml").write_text("# ours\nservice_name: from-yaml\n")
    seen.append(source(load_settings(), "service_name"))
    (empty_project / ".env").write_text("OTEL_SERVICE_NAME=from-dotenv\n")
    seen.append(source(load_settings(), "service_name"))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    seen.append(source(load_settings(), "service_name"))
    seen.append(source(load_settings({"service_name": "from-arguments"}), "service_name"))
    assert seen == [
        ("floe-runtime", "default"),
        ("from-yaml", "floe.yaml:2"),
        ("from-dotenv", ".env OTEL_SERVICE_NAME"),
        ("from-environment", "environment OTEL_SERVICE_NAME"),
        ("from-arguments", "command line"),
    ]
    assert all(before != after for before, after in pairwise(seen))


def test_constructed_alone_the_settings_follow_the_same_order(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_project / "floe.yaml").write_text("service_name: from-yaml\nlineage_namespace: from-yaml\n")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    settings = FloeSettings()
    assert (settings.service_name, settings.lineage_namespace) == ("from-environment", "from-yaml")


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("FLOE_ARTIFACTS_PATH", "artifacts_path"),
        ("FLOE_COMPUTE_TARGET", "compute_target"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
        ("OTEL_SERVICE_NAME", "service_name"),
        ("OPENLINEAGE_URL", "lineage_url"),
        ("OPENLINEAGE_NAMESPACE", "lineage_namespace"),
    ],
)
def test_every_variable_of_the_requirements_is_read(monkeypatch: pytest.MonkeyPatch, variable: str, name: str) -> None:
    monkeypatch.setenv(variable, "told")
    assert source(load_settings(), name) == ("told", f"environment {variable}")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "")
    assert source(load_settings(), "service_name") == ("floe-runtime", "default")


def test_a_projects_compute_target_is_understood_and_its_other_keys_left_alone(empty_project: Path) -> None:
    (empty_project / "floe.yaml").write_text("name: orders\ncompute:\n  target: duckdb\n")
    assert source(load_settings(), "compute_target") == ("duckdb", "floe.yaml:3")


def test_a_wrong_value_is_told_with_its_place(empty_project: Path) -> None:
    (empty_project / "floe.yaml").write_text("lineage_namespace: [a]\n")
    with pytest.raises(ValidationError) as caught:
        load_settings()
    assert str(caught.value).startswith("floe.yaml:1:1 (lineage_namespace): `lineage_namespace`: ")
    assert "OPENLINEAGE_NAMESPACE" in str(caught.value)


def test_an_unknown_setting_is_told_with_the_near_one() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean `service_name`"):
        load_settings({"servce_name": "x"})


@pytest.mark.requirement("HOUSE-7")
def test_a_credential_in_a_value_is_masked_where_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "https://user:hunter2@lineage.example")
    loaded = load_settings()
    assert loaded.values.lineage_url == "https://user:hunter2@lineage.example"
    assert "hunter2" not in str(loaded.described())


@pytest.mark.requirement("CC-5.1")
def test_an_environment_file_that_is_no_text_is_told_with_its_name(empty_project: Path) -> None:
    (empty_project / ".env").write_bytes(b"OTEL_SERVICE_NAME=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match="not UTF-8") as caught:
        load_settings()
    assert str(caught.value.where) == ".env"


def test_a_byte_order_mark_hides_no_setting(empty_project: Path) -> None:
    (empty_project / ".env").write_bytes(b"\xef\xbb\xbfOTEL_SERVICE_NAME=marked\n")
    assert source(load_settings(), "service_name") == ("marked", ".env OTEL_SERVICE_NAME")


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n"])
def test_a_project_file_without_settings_is_none(empty_project: Path, text: str) -> None:
    (empty_project / "floe.yaml").write_text(text)
    assert source(load_settings(), "service_name") == ("floe-runtime", "default")


def test_files_that_were_not_asked_for_are_not_read(empty_project: Path) -> None:
    (empty_project / "floe.yaml").write_text("- no mapping\n")
    (empty_project / "other.yaml").write_text("service_name: other\n")
    assert source(load_settings(project_file=Path("other.yaml")), "service_name") == ("other", "other.yaml:1")
