"""What webhook and sidecar have agreed on: the variables, their meaning, and the files of keys and tokens.

Both carry the number of the agreement, because an image and a webhook of different versions meet in a cluster. A
sidecar takes what it knows, leaves what it does not know and says so; told by a newer webhook, it does the same with
values that it does not understand, because a sidecar with defaults serves a pod and one that does not start does not.

| told by                              | an unknown variable | a value that cannot work              |
|--------------------------------------|---------------------|---------------------------------------|
| the same, an older or no agreement   | said                | the sidecar does not start            |
| a newer agreement                    | said                | said, and the default holds           |

The proxy's variables that all programs read (`HTTPS_PROXY`) are in no agreement: one that cannot work is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from floe_sidecar.settings import PROTOCOL, PROTOCOL_VARIABLE, Settings
from floe_sidecar.settings.values import PARSERS
from floe_sidecar.settings.variables import OTHER_NAMES, SettingsError, Variable, text_of

_PREFIX = "FLOE_SIDECAR_"
# What the kubelet adds for a Service that has this name; nobody's setting.
_OF_A_SERVICE = re.compile(r"FLOE_SIDECAR_(?:SERVICE_.*|PORT_[0-9]+_(?:TCP|UDP|SCTP).*)")
_SHOWN_NAMES = 20
_KNOWN = frozenset(map(str, Variable))


def settings_from(environment: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings, and what had to be left out of them, as sentences.

    Raises:
        SettingsError: A value cannot work, and nobody newer has given it.
    """
    newer, remarks = _protocol(environment.get(PROTOCOL_VARIABLE, "").strip())
    known: dict[str, str] = {name: text for name in Variable if (text := text_of(name, environment))}
    names = (name for name in environment if name.startswith(_PREFIX) and name != PROTOCOL_VARIABLE)
    unknown = sorted(name for name in names if name not in _KNOWN and not _OF_A_SERVICE.fullmatch(name))
    if unknown:
        remarks.append(
            f"This sidecar does not know {', '.join(unknown[:_SHOWN_NAMES])}; what they ask for is not done."
        )
    for name in Variable:
        # A proxy that a policy of the cluster wrote into every container is nobody's mistake here.
        is_ours = not newer and (name not in OTHER_NAMES or environment.get(name))
        if not is_ours and (objection := _objection(name, known.get(name, ""))) is not None:
            del known[name]
            remarks.append(f"{objection}; its default holds.")
    return Settings.from_environment(known), tuple(remarks)


def _protocol(text: str) -> tuple[bool, list[str]]:
    """Whether a newer agreement holds for the other side, and what has to be said of it."""
    if not re.fullmatch(r"[0-9]{0,9}", text):
        return False, [f"{PROTOCOL_VARIABLE} holds {text[:20]!r}, which is no number; {PROTOCOL} is assumed."]
    number = int(text or PROTOCOL)
    if number <= PROTOCOL:
        return False, []
    remark = (
        f"The webhook speaks version {number} of the agreement with its sidecars, this sidecar version {PROTOCOL}; "
        "what is newer is left out. Take an image of the webhook's version."
    )
    return True, [remark]


def _objection(name: Variable, text: str) -> SettingsError | None:
    try:
        if text:
            PARSERS[name](name, text)
    except SettingsError as error:
        return error
    return None
