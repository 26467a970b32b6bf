"""What can be wrong with certificates in a Secret: codes for metrics, sentences for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Defect(StrEnum):
    """A bounded set, fit for a metric's label."""

    SECRET_MISSING = "secret_missing"  # noqa: S105 - a code, no password
    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_UNREADABLE = "certificate_unreadable"
    KEY_MISSING = "key_missing"
    KEY_UNREADABLE = "key_unreadable"
    KEY_OF_ANOTHER = "key_of_another"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    AUTHORITY_MISSING = "authority_missing"
    AUTHORITY_UNREADABLE = "authority_unreadable"
    AUTHORITY_EXPIRED = "authority_expired"
    CHAIN_BROKEN = "chain_broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect, and a sentence that says what is wrong where, and what to do."""

    defect: Defect
    sentence: str


class DefectiveSecretError(Exception):
    """A Secret whose certificates cannot be used.

    Attributes:
        findings: Everything that was found, at least one.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(" ".join(finding.sentence for finding in findings))
        self.findings = tuple(findings)
