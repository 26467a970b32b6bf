"""Whether the API server can trust the webhook, and for how long: the Secret's certificates against each `caBundle`.

A TLS connection through the API server's proxies would verify nothing, so the chain is verified here, with what the
Secret holds; `floe_webhook.checks.admission` then shows the whole road with a dry run.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cryptography import x509

from floe_certs.authority import BACKDATING
from floe_certs.defects import DefectiveSecretError
from floe_certs.inspection import Material, inspect
from floe_certs.verification import certificates_in, refusal
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, MissingError
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning
from floe_webhook.pod import Document

WARN_AHEAD = timedelta(days=60)
"""A certificate that ends sooner has not been renewed when it should have been."""

_SHORTEST_PART = 4
"""A short-lived certificate (cert-manager: 90 days) is warned of in the last quarter of its life instead."""

_SERVED = "Look at the webhook's log and its metric floe_certs_failures_total; docs/certificates.md says who renews."


def judge_bundles(bundles: Mapping[str, bytes], secret: Mapping[str, bytes], name: str, now: datetime) -> list[Finding]:
    """Whether what is served verifies against every entry's `caBundle`.

    Args:
        bundles: PEM by the entry's name.
        secret: The Secret's content, decoded.
        name: What the API server calls the webhook.
        now: The current time, aware.
    """
    check = Check.CA_BUNDLE
    try:
        material = inspect(secret, name=name, now=now)
    except DefectiveSecretError as error:
        return [failed(check, finding.sentence, _SERVED) for finding in error.findings]
    found = [problem for entry, bundle in bundles.items() if (problem := _about_bundle(entry, bundle, material, name))]
    return or_ok(found, check, f"The certificate for {name} verifies against the caBundle of every entry.")


def judge_expiry(certificates: Mapping[str, x509.Certificate], now: datetime) -> list[Finding]:
    """When each certificate ends, by what it is called.

    | ends in                                       | verdict |
    |-----------------------------------------------|---------|
    | more than 60 days, or a quarter of its life   | ok      |
    | less                                          | warning |
    | it has ended                                  | failed  |
    """
    check = Check.CERTIFICATE_EXPIRY
    first = min(certificates.values(), key=lambda one: one.not_valid_after_utc)
    ends = f"{first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return or_ok(_about_ends(certificates, now), check, f"The first certificate to end is valid until {ends}.")


async def ca_bundle(cluster: Cluster) -> list[Finding]:
    """Reads the Secret and the bundles."""
    names = await cluster.names()
    bundles = {pods.text(entry, "name"): _bundle_of(entry) for entry in await cluster.entries()}
    return judge_bundles(bundles, await _secret(cluster), names.server_name, cluster.now)


async def certificate_expiry(cluster: Cluster) -> list[Finding]:
    """Reads the certificate that is served, and the authorities that are trusted."""
    certificates = {}
    for entry in await cluster.entries():
        bundle = _readable(_bundle_of(entry))
        if bundle:  # an old authority ends beside its successor: what counts is the last one
            last = max(bundle, key=lambda one: one.not_valid_after_utc)
            certificates[f"the authority in the caBundle of {pods.text(entry, 'name')}"] = last
    if (await cluster.names()).in_cluster and (served := _readable((await _secret(cluster)).get("tls.crt", b""))):
        certificates["the webhook's certificate"] = served[0]
    if not certificates:
        raise MissingError("There is no certificate to look at.")
    return judge_expiry(certificates, cluster.now)


def _about_bundle(entry: str, bundle: bytes, material: Material, name: str) -> Finding | None:
    check = Check.CA_BUNDLE
    if not bundle.strip():
        sentence = f"The entry {entry} has no caBundle, so the API server trusts no webhook."
        return failed(check, sentence, f"The leader writes it within seconds of its start. {_SERVED}")
    if (reason := refusal(material.serving, bundle, name)) is None:
        return None
    sentence = "The API server does not trust the webhook: its certificate does not verify against the caBundle of "
    return failed(check, f"{sentence}{entry}: {reason}.", f"The leader puts its own back within seconds. {_SERVED}")


def _about_ends(certificates: Mapping[str, x509.Certificate], now: datetime) -> Iterator[Finding]:
    check = Check.CERTIFICATE_EXPIRY
    for title, certificate in certificates.items():
        ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        if ends <= now:
            yield failed(check, f"{_begun(title)} ended at {ends:%Y-%m-%d %H:%M} UTC.", _SERVED)
        elif ends - now < min(WARN_AHEAD, (ends - begins - BACKDATING) / _SHORTEST_PART):
            left = (ends - now).days
            sentence = f"{_begun(title)} ends in {left} days, at {ends:%Y-%m-%d %H:%M} UTC, and is not renewed."
            yield warning(check, sentence, _SERVED)


def _begun(title: str) -> str:
    return title[0].upper() + title[1:]


async def _secret(cluster: Cluster) -> Mapping[str, bytes]:
    found = await cluster.certificate_secret()
    return {key: base64.b64decode(value or "") for key, value in pods.mapping(found or {}, "data").items()}


def _bundle_of(entry: Document) -> bytes:
    try:
        return base64.b64decode(pods.text(entry, "clientConfig", "caBundle"))
    except binascii.Error:
        return b""


def _readable(pem: bytes) -> list[x509.Certificate]:
    try:
        return certificates_in(pem)
    except ValueError:
        return []
