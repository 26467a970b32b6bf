"""What a check says: its name, a verdict, a sentence and a remedy. Command, documentation and tests share the names."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

DOCS = "docs/troubleshooting.md"


class Verdict(StrEnum):
    """How a check went, from good to bad; what is skipped is neither."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


class Check(StrEnum):
    """A check; the value is its name and its heading in docs/troubleshooting.md."""

    API_SERVER = "api-server"
    CLUSTER_VERSION = "cluster-version"
    ADMISSION_API = "admission-api"
    OWN_RIGHTS = "own-rights"
    WEBHOOK_CONFIGURATION = "webhook-configuration"
    CA_BUNDLE = "ca-bundle"
    CERTIFICATE_EXPIRY = "certificate-expiry"
    WEBHOOK_DEPLOYMENT = "webhook-deployment"
    ADMISSION = "admission"
    MANIFEST = "manifest"
    WEBHOOK_RIGHTS = "webhook-rights"
    NAMESPACE_LABELS = "namespace-labels"
    SECRETS = "secrets"
    QUOTAS = "quotas"
    NETWORK_POLICIES = "network-policies"
    BACKENDS = "backends"
    MISSED_PODS = "missed-pods"
    INJECTED_VERSIONS = "injected-versions"

    INSTALL_RIGHTS = "install-rights"
    CERT_MANAGER = "cert-manager"
    RELEASE_NAMESPACE = "release-namespace"
    LEFTOVERS = "leftovers"

    @property
    def anchor(self) -> str:
        """Where the documentation speaks of it."""
        return f"{DOCS}#{self.value}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; a check that finds nothing wrong says so.

    Attributes:
        sentence: What is the case.
        remedy: What to do; empty if nothing has to be done.
    """

    check: Check
    verdict: Verdict
    sentence: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `-o json`."""
        return {
            "check": self.check,
            "result": self.verdict,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "docs": self.check.anchor,
        }


def ok(check: Check, sentence: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, Verdict.OK, sentence)


def warning(check: Check, sentence: str, remedy: str) -> Finding:
    """It works, less well than it could, or not for long."""
    return Finding(check, Verdict.WARNING, sentence, remedy)


def failed(check: Check, sentence: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAILED, sentence, remedy)


def skipped(check: Check, reason: str, remedy: str = "") -> Finding:
    """It could not be looked at; the sentence says why."""
    return Finding(check, Verdict.SKIPPED, reason, remedy)


def or_ok(findings: Iterable[Finding], check: Check, sentence: str) -> list[Finding]:
    """What was found, or that nothing was."""
    return list(findings) or [ok(check, sentence)]


def counted(count: int, noun: str) -> str:
    """E.g. "1 namespace", "2 namespaces"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict over all findings."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)
