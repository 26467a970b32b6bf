"""Tokens that prove a namespace to the gateway, and the command that prints the Secrets which hold them.

    token = <namespace> "." hex(HMAC-SHA256(key, "floe-gateway-token/1:" <namespace>))

A namespace's name has no dot (RFC 1123 label). Who has a key can make every token, so the keys stay with the gateway:
`python -m floe_sidecar.tokens NAMESPACE…` is run in its pod, and `--keep` in a container that has nothing else to do.

| exit code | meaning |
|---|---|
| 0 | done; with `--check`, the token is taken |
| 1 | the keys or the token cannot be read, or a name is none of a namespace; one line on standard error says which |
| 2 | the command line is wrong |
| 3 | with `--check`: the token is not taken |
"""

from __future__ import annotations

import hmac
import re
import sys
from collections.abc import Sequence
from pathlib import Path

SHORTEST_KEY = 32
"""Characters that a key has at least."""

_PURPOSE = b"floe-gateway-token/1:"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DONE, _FAILED, _NOT_TAKEN = 0, 1, 3


def issue(key: str, namespace: str) -> str:
    """The namespace's token."""
    return f"{namespace}.{hmac.new(key.encode(), _PURPOSE + namespace.encode(), 'sha256').hexdigest()}"


def namespace_of(token: str, keys: Sequence[str]) -> str | None:
    """The namespace that the token proves with one of the keys; None if it proves none."""
    namespace = token.partition(".")[0]
    if not token.isascii() or not is_namespace(namespace):
        return None
    proven = False
    for key in keys:
        proven |= hmac.compare_digest(issue(key, namespace), token)
    return namespace if proven else None


def keys_of(text: str) -> list[str]:
    """The keys of a file: one a line, the first for new tokens."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def problem_of(text: str) -> str:
    """Why the text cannot be used as the gateway's keys; empty if it can."""
    keys = keys_of(text)
    if not keys:
        return "it holds no key"
    if any(len(key) < SHORTEST_KEY for key in keys):
        return f"it holds a key of fewer than {SHORTEST_KEY} characters"
    return ""


def is_namespace(name: str) -> bool:
    """Whether a namespace can be called that (RFC 1123 label)."""
    return _NAMESPACE.fullmatch(name) is not None


def secret(namespace: str, token: str, *, name: str, key: str) -> dict[str, object]:
    """The Secret that gives the token to the namespace's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "floe-injector"}},
        "type": "Opaque",
        "stringData": {key: token},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints Secrets for namespaces, or checks a token; gives the exit code."""
    import argparse  # noqa: PLC0415 - for people only; the gateway imports this module, too
    import json  # noqa: PLC0415 - as above
    import os  # noqa: PLC0415 - as above

    from floe_sidecar.settings import Variable  # noqa: PLC0415 - as above

    parser = argparse.ArgumentParser(prog="python -m floe_sidecar.tokens", description="Prints Secrets with tokens.")
    parser.add_argument("namespaces", nargs="*", metavar="NAMESPACE")
    keys_from = os.environ.get(Variable.GATEWAY_KEY_FILE)
    parser.add_argument("--keys", type=Path, default=keys_from, help=f"file of the keys ({Variable.GATEWAY_KEY_FILE})")
    parser.add_argument("--secret", default="floe-gateway-token", help="the Secrets' name (%(default)s)")
    parser.add_argument("--key", default="token", help="the key in them (%(default)s)")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="writes the token there, until SIGTERM, as keys change"
    )
    parser.add_argument("--check", type=Path, metavar="FILE", help="says whose the token in the file is")
    options = parser.parse_args(arguments)
    if options.keys is None or bool(options.namespaces) == bool(options.check):
        parser.error(f"give namespaces or --check, and the keys with --keys or {Variable.GATEWAY_KEY_FILE}")
    if options.keep is not None:
        if len(options.namespaces) != 1 or not is_namespace(options.namespaces[0]):
            parser.error("--keep is for one namespace")
        return _keep(options.keys, options.keep, options.namespaces[0])
    try:
        text = options.keys.read_text(encoding="utf-8")
        token = options.check.read_text(encoding="utf-8").strip() if options.check else ""
    except (OSError, UnicodeDecodeError) as error:
        return _complain(str(error))
    if problem := problem_of(text):
        return _complain(f"{options.keys} cannot be used: {problem}")
    if options.check:
        namespace = namespace_of(token, keys_of(text))
        sys.stdout.write(f"the token of {namespace}\n" if namespace else "not a token of these keys\n")
        return _DONE if namespace else _NOT_TAKEN
    for name in options.namespaces:
        if not is_namespace(name):
            return _complain(f"{name!r} is not a namespace's name (RFC 1123 label)")
    key = keys_of(text)[0]
    items = [secret(name, issue(key, name), name=options.secret, key=options.key) for name in options.namespaces]
    sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n")
    return _DONE


def _keep(keys: Path, file: Path, namespace: str) -> int:
    import signal  # noqa: PLC0415 - for this only
    import threading  # noqa: PLC0415 - as above

    from floe_sidecar.token_file import keep  # noqa: PLC0415 - as above

    ended = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: ended.set())
    keep(keys, file, namespace, is_over=ended.wait, complain=_complain)
    return _DONE


def _complain(what: str) -> int:
    sys.stderr.write(f"floe_sidecar.tokens: {what}\n")
    return _FAILED


if __name__ == "__main__":
    sys.exit(main())
