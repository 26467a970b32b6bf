"""`floe inject`, `floe uninject` and `floe explain` on files.

The goldens beside this file are renewed by `UPDATE_GOLDENS=1 .venv/bin/pytest webhook/tests/command`.
"""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from floe_core.errors import FloeError
from floe_webhook.commands import commands
from floe_webhook.reload import read_profile

EXAMPLES = Path(__file__).parents[3] / "examples"
MANIFEST = EXAMPLES / "manifest.yaml"
GOLDENS = Path(__file__).parent / "goldens"
PODS = sorted((EXAMPLES / "pods").glob("*.yaml"))
BY_NAME = {command.name: command for command in commands}

JOB = """\
# why this job exists
apiVersion: batch/v1
kind: Job
metadata: {name: load, namespace: sales} # flow style
spec:
  template:
    spec:
      restartPolicy: Never # never again
      containers:
      # the one container
      - name: load
        image: "load:1"
        env:
        - name: A # the first
          value: 'x'
"""


def run(name: str, *arguments: str, text: str | None = None, manifest: bool = True) -> Result:
    chosen = ["--manifest", str(MANIFEST)] if manifest else []
    return CliRunner().invoke(BY_NAME[name], [*chosen, *arguments], input=text)


def inject(text: str, *options: str) -> Result:
    found = run("inject", "-f", "-", *options, text=text)
    assert found.exit_code == 0, found.output
    return found


def uninject(text: str) -> str:
    found = run("uninject", "-f", "-", text=text, manifest=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def loaded(text: str) -> list[dict[str, object]]:
    return list(YAML(typ="safe").load_all(text))


@pytest.mark.requirement("HOUSE-2", "HOUSE-6")
@pytest.mark.parametrize("name", ["inject", "explain"])
@pytest.mark.parametrize("file", PODS, ids=lambda file: file.stem)
def test_the_examples_come_out_as_reviewed(file: Path, name: str) -> None:
    found = run(name, "-f", str(file))
    assert found.exit_code == 0, found.output
    text = found.stdout.replace(read_profile(MANIFEST).identity, "<profile>")
    golden = GOLDENS / f"{file.stem}.{'yaml' if name == 'inject' else 'txt'}"
    if os.environ.get("UPDATE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "renew it as the module's docstring says, and look at the difference"


@pytest.mark.requirement("HOUSE-2")
def test_no_golden_is_left_over() -> None:
    assert {golden.stem for golden in GOLDENS.iterdir()} == {file.stem for file in PODS}


@pytest.mark.requirement("INV-3")
@pytest.mark.parametrize("file", PODS, ids=lambda file: file.stem)
def test_uninject_gives_the_examples_back_to_the_letter(file: Path) -> None:
    assert uninject(inject(file.read_text()).stdout) == file.read_text()


@pytest.mark.requirement("INV-3", "INV-6")
def test_comments_quotes_and_order_survive_both_ways() -> None:
    injected = inject(JOB).stdout
    for line in ("# why this job exists", "metadata: {name: load, namespace: sales} # flow style"):
        assert line in injected
    assert "      restartPolicy: Never # never again" in injected
    assert 'image: "load:1"' in injected
    assert uninject(injected) == JOB


@pytest.mark.requirement("HOUSE-2", "INV-4")
def test_a_file_that_is_injected_already_stays_as_it_is() -> None:
    once = inject(JOB).stdout
    again = inject(once)
    assert again.stdout == once
    assert "not injected" in again.stderr


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "template")),
        ("StatefulSet", ("spec", "template")),
        ("DaemonSet", ("spec", "template")),
        ("ReplicaSet", ("spec", "template")),
        ("Job", ("spec", "template")),
        ("CronJob", ("spec", "jobTemplate", "spec", "template")),
    ],
)
def test_every_kind_of_workload_is_injected_in_its_template(kind: str, path: tuple[str, ...]) -> None:
    template: dict[str, object] = {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    document: dict[str, object] = {"kind": kind, "metadata": {"name": "orders"}}
    place: dict[str, object] = template
    for key in reversed(path):
        place = {key: place}
    document |= place
    stream = _dumped(document)
    (after,) = loaded(inject(stream).stdout)
    found: object = after
    for key in path:
        assert isinstance(found, dict)
        found = found[key]
    assert isinstance(found, dict)
    assert found["metadata"]["labels"] == {"floe.dev/injected": "true"}
    entries = {entry["name"]: entry for entry in found["spec"]["containers"][0]["env"]}
    assert entries["OTEL_SERVICE_NAME"]["value"] == "orders"
    assert loaded(uninject(_dumped(after))) == [document]


def _dumped(document: object) -> str:
    import json  # noqa: PLC0415 - JSON is YAML

    return json.dumps(document)


@pytest.mark.requirement("HOUSE-2")
def test_lists_many_documents_and_strangers_go_through() -> None:
    pod = "{kind: Pod, metadata: {name: %s}, spec: {containers: [{name: app, image: app}]}}"
    text = f"kind: List\nitems: [{pod % 'a'}, {{kind: Service}}]\n---\n{pod % 'b'}\n---\nkind: Namespace\n---\n"
    found = inject(text)
    first, second, third, *_ = loaded(found.stdout)
    assert "floe.dev/injected" in str(first)
    assert "floe.dev/injected" in str(second)
    assert third == {"kind": "Namespace"}
    assert found.stderr.count("injected: environment and sidecar") == 2


@pytest.mark.requirement("HOUSE-2")
def test_a_file_without_a_pod_is_written_as_it_is_with_a_remark() -> None:
    found = inject("kind: ConfigMap\n")
    assert found.stdout == "kind: ConfigMap\n"
    assert "no pod" in found.stderr


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize(
    ("label", "options", "is_injected"),
    [
        (None, (), True),
        ("disabled", (), False),
        ("perhaps", (), False),
        (None, ("--namespace-label", "disabled"), False),
        (None, ("--namespace-label", ""), False),
        ("enabled", ("--namespace-label", "disabled"), True),
    ],
)
def test_a_file_given_by_hand_counts_as_opted_in_unless_it_says_otherwise(
    label: str | None, options: tuple[str, ...], *, is_injected: bool
) -> None:
    labels = f"labels: {{floe.dev/inject: {label}}}" if label else ""
    text = f"kind: Pod\nmetadata: {{name: a, {labels}}}\nspec: {{containers: [{{name: app, image: app}}]}}\n"
    assert ("floe.dev/injected" in inject(text, *options).stdout) is is_injected


@pytest.mark.requirement("INV-8")
def test_what_two_containers_share_by_an_alias_is_not_changed_twice() -> None:
    text = """\
kind: Pod
metadata:
  name: shared
spec:
  containers:
    - name: a
      image: app:1
      env: &both
        - name: A
          value: x
    - name: b
      image: app:1
      env: *both
"""
    (after,) = loaded(inject(text).stdout)
    for container in after["spec"]["containers"]:  # type: ignore[index]  # as the text above says
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names))
        assert names[-1] == "A"
    assert loaded(uninject(inject(text).stdout)) == loaded(text)


@pytest.mark.requirement("DEF-7")
def test_a_config_map_in_the_same_file_shows_its_keys() -> None:
    text = """\
kind: ConfigMap
metadata: {name: settings}
data: {OTEL_SERVICE_NAME: mine}
---
kind: Pod
metadata: {name: a}
spec:
  containers:
    - {name: app, image: app, envFrom: [{configMapRef: {name: settings}}]}
"""
    _, pod = loaded(inject(text).stdout)
    assert "OTEL_SERVICE_NAME" not in str(pod)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in str(pod)


@pytest.mark.requirement("CC-5.1")
@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\x00"])
def test_a_file_that_is_no_yaml_is_an_error_with_a_place(text: str) -> None:
    found = run("inject", "-f", "-", text=text)
    assert isinstance(found.exception, FloeError)
    assert str(found.exception).startswith("-")


@pytest.mark.requirement("CC-5.1")
def test_a_file_that_is_not_there_is_an_error_that_names_it() -> None:
    found = run("explain", "-f", "/nowhere.yaml")
    assert isinstance(found.exception, FloeError)
    assert "/nowhere.yaml" in str(found.exception)


@pytest.mark.requirement("HOUSE-2")
def test_uninject_leaves_what_was_never_injected_and_says_so() -> None:
    found = run("uninject", "-f", "-", text=JOB, manifest=False)
    assert found.stdout == JOB
    assert "no record" in found.stderr


@pytest.mark.requirement("HOUSE-2")
def test_explain_tells_every_reason_with_its_remedy() -> None:
    text = (
        "kind: Pod\nmetadata: {name: a, labels: {floe.dev/inject: 'false'}}\n"
        "spec: {hostNetwork: true, containers: [{name: app, image: app}]}\n"
    )
    lines = run("explain", "-f", "-", text=text).stdout.splitlines()
    assert lines[0] == "Pod/a: not injected"
    assert lines[1].startswith("  [pod_opted_out] The pod's own label floe.dev/inject says no. Remove the label")
    assert lines[2].startswith("  [host_network] ")
