"""The admission handler under a fuzzer that sees which lines each body reaches, and keeps those that reach new ones.

`python -m tests.fuzz --guided --count 1000000` needs `pip install atheris` (libFuzzer for Python; it is not among the
pinned tools, because it is built for few versions of Python only). It begins with the bodies of `tests/fuzz/seeds`, to
which `--keep` adds those that reached more, and which every run of the tests answers again. A body that is not answered
as it has to be ends it, and is left as a file `crash-…` where it was started.
"""

import hashlib
import importlib
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from tests.fuzz.reviews import SEEDS, body_of, objection, spoil

SEEDS_FOLDER = Path(__file__).with_name("seeds")

_LARGEST_BYTES = 4_096
_LABELS = ("enabled", None)


def kept_bodies() -> Iterator[tuple[str, bytes]]:
    """What is kept, by name."""
    for file in sorted(SEEDS_FOLDER.glob("*.json")):
        yield file.stem, file.read_bytes()


def complaint(body: bytes) -> str | None:
    """What is wrong with the answers to a body, for pods of a namespace with and without the label; None if nothing is.

    Whatever the handler raises is raised: at its edge it would become an admission without an injection.
    """
    uid = _uid_of(body)
    for label in _LABELS:
        answer = _answer(body, label)
        if answer is None:
            if uid is not None:
                return "it has a uid, and is not answered"
        elif uid is None:
            # It could not be read as a whole, and the uid was found in its head.
            uid = str(orjson.loads(answer)["response"]["uid"])
        if answer is not None and uid is not None and (what := objection(uid, body, 200, answer)) is not None:
            return what
    return None


def _uid_of(body: bytes) -> str | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    request = document.get("request") if isinstance(document, dict) else None
    uid = request.get("uid") if isinstance(request, dict) else None
    return uid if isinstance(uid, str) and uid else None


def _answer(body: bytes, label: str | None) -> bytes | None:
    """As the server makes it; None where it cannot be told whom it is for (400)."""
    # Imported late: what is imported before the fuzzer has begun is not looked into.
    from floe_webhook.admission import ReviewError, decode, encode, encode_problem, review  # noqa: PLC0415 - see above
    from webhook.tests.builders import PROFILE  # noqa: PLC0415 - see above

    try:
        admitted = decode(body)
        return encode(admitted.uid, review(admitted, PROFILE, namespace_label=label))
    except ReviewError as error:
        return encode_problem(error.uid, error.problem) if error.uid is not None else None


def fuzz_guided(count: int, *, keep: bool) -> int:
    """Tries so many bodies in a process of their own, which the fuzzer ends; gives its exit code."""
    with tempfile.TemporaryDirectory() as name:
        found, least = Path(name, "found"), Path(name, "least")
        for folder in (found, least):
            folder.mkdir()
        for number in SEEDS:
            (found / f"number-{number}").write_bytes(body_of(number)[1])
        # libFuzzer starts itself anew by its first argument.
        fuzzer = Path(name, "fuzzer")
        fuzzer.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.fuzz.guided "$0" "$@"\n')
        fuzzer.chmod(0o700)
        bounds = (f"-max_len={_LARGEST_BYTES}", "-timeout=20")
        ended = subprocess.run([fuzzer, found, SEEDS_FOLDER, f"-runs={count}", *bounds], check=False).returncode
        if keep and ended == 0:
            ended = subprocess.run([fuzzer, least, found, "-merge=1", *bounds], check=False).returncode
            _keep(least)
        return ended


def _keep(folder: Path) -> None:
    """Those of a corpus that are not kept yet."""
    known = {body for _, body in kept_bodies()}
    for file in folder.iterdir():
        if (body := file.read_bytes()) not in known:
            (SEEDS_FOLDER / f"{hashlib.sha256(body).hexdigest()[:12]}.json").write_bytes(body)


def _mutated(body: bytes, max_size: int, seed: int, mutate: Any) -> bytes:
    """Another body: a document that is spoiled in its shape, or bytes that are changed blindly."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not document or chance.random() < 0.2:
        return bytes(mutate(body, max_size))
    for _ in range(chance.randint(1, 3)):
        spoil(chance, document)
    try:
        changed = orjson.dumps(document)
    except TypeError:  # deeper than orjson writes
        return bytes(mutate(body, max_size))
    return changed if len(changed) <= max_size else bytes(mutate(body, max_size))


def main(arguments: list[str]) -> None:
    """The process that is fuzzed; it does not return.

    Args:
        arguments: libFuzzer's, after a program that starts this process.

    Raises:
        AssertionError: A body was not answered as it has to be; the fuzzer writes it down.
    """
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["floe_webhook"]):
        importlib.import_module("webhook.tests.builders")
        importlib.import_module("floe_webhook.admission")

    def judge(body: bytes) -> None:
        what = complaint(body)
        assert what is None, what

    def mutate(body: bytes, max_size: int, seed: int) -> bytes:
        return _mutated(body, max_size, seed, atheris.Mutate)

    atheris.Setup(arguments, judge, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
