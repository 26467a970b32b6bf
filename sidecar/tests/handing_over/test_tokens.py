"""A token proves its own namespace and no other, and the command prints the Secrets that hold tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_sidecar import tokens
from sidecar.tests.gateways import KEY, OTHER_KEY, written

pytestmark = pytest.mark.requirement("HOUSE-7")

NAMESPACES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


def test_a_token_is_an_hmac_that_any_tool_can_compute() -> None:
    expected = hmac.new(KEY.encode(), b"floe-gateway-token/1:sales", hashlib.sha256).hexdigest()
    assert tokens.issue(KEY, "sales") == f"sales.{expected}"


def test_a_token_is_one_that_a_bearer_header_and_a_url_can_carry() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", tokens.issue(KEY, "sales-eu-1"))


@given(namespace=NAMESPACES)
def test_a_token_proves_its_namespace_with_any_of_the_keys_in_force(namespace: str) -> None:
    token = tokens.issue(KEY, namespace)
    assert tokens.namespace_of(token, [KEY]) == namespace
    assert tokens.namespace_of(token, [OTHER_KEY, KEY]) == namespace
    assert tokens.namespace_of(token, [OTHER_KEY]) is None
    assert tokens.namespace_of(token, []) is None


@given(namespace=NAMESPACES, other=NAMESPACES)
def test_no_namespaces_proof_is_anothers(namespace: str, other: str) -> None:
    proof = tokens.issue(KEY, namespace).partition(".")[2]
    assert (tokens.namespace_of(f"{other}.{proof}", [KEY]) == other) == (namespace == other)


@given(token=st.text() | st.builds(lambda a, b: f"{a}.{b}", NAMESPACES, st.text()))
def test_whatever_is_not_issued_proves_nothing(token: str) -> None:
    assert tokens.namespace_of(token, [KEY]) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        ("\n \n", "no key"),
        ("short", "fewer than 32"),
        (f"{KEY}\nshort", "fewer than 32"),
        (f"{KEY}\n\n{OTHER_KEY}\n", ""),
    ],
)
def test_a_key_file_without_usable_keys_is_told(text: str, problem: str) -> None:
    assert (tokens.problem_of(text) == "") == (problem == "")
    assert problem in tokens.problem_of(text)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "floe_sidecar.tokens", *arguments], capture_output=True, text=True, check=False, env={}
    )


def test_the_command_prints_a_secret_for_each_namespace_with_the_first_key(tmp_path: Path) -> None:
    keys = written(tmp_path / "keys", f"{KEY}\n{OTHER_KEY}\n")
    told = run("--keys", str(keys), "sales", "finance")
    assert (told.returncode, told.stderr) == (0, "")
    first, second = json.loads(told.stdout)["items"]
    assert first["metadata"]["namespace"] == "sales"
    assert first["metadata"]["name"] == "floe-gateway-token"
    assert first["stringData"] == {"token": tokens.issue(KEY, "sales")}
    assert second["stringData"] == {"token": tokens.issue(KEY, "finance")}
    assert KEY not in told.stdout
    assert base64.b64encode(KEY.encode()).decode() not in told.stdout


def test_the_command_says_whose_a_token_is(tmp_path: Path) -> None:
    keys = written(tmp_path / "keys", KEY)
    token = written(tmp_path / "token", tokens.issue(KEY, "sales") + "\n")
    told = run("--keys", str(keys), "--check", str(token))
    assert (told.returncode, told.stdout) == (0, "the token of sales\n")
    written(keys, OTHER_KEY)
    assert run("--keys", str(keys), "--check", str(token)).returncode == 3


def test_the_command_says_what_is_wrong_and_shows_no_key(tmp_path: Path) -> None:
    keys = written(tmp_path / "keys", KEY)
    wrong_name = run("--keys", str(keys), "Sales.EU")
    assert (wrong_name.returncode, wrong_name.stdout) == (1, "")
    assert "'Sales.EU' is not a namespace's name" in wrong_name.stderr
    assert run("sales").returncode == 2
    missing = run("--keys", str(tmp_path / "none"), "sales")
    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
    short = run("--keys", str(written(tmp_path / "short", "hunter2")), "sales")
    assert (short.returncode, "hunter2" in short.stderr) == (1, False)
