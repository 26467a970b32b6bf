"""What the program is told, and what follows from it; the flags themselves stand in `floe_webhook.__main__`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from floe_certs.kubernetes import ClusterObjects
from floe_certs.settings import CertificateSettings, Source
from floe_core.errors import ConfigurationError
from floe_webhook.cluster.nodes import version_of
from floe_webhook.following import Follow, FollowSettings
from floe_webhook.lookups import Lookup, LookupSettings

FILES = "files"
"""The certificate comes from two files that somebody else keeps up to date."""

CERTIFICATES = (FILES, *(source.value for source in Source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The program's flags, in the order of its help.

    Attributes:
        port, health_port: 0 takes a free one; the log line names both.
        port_file: Takes the number of `port` once it is open.
        drain_seconds: How long requests are still taken after SIGTERM.
        release_namespace: Floe's own namespace, which is never injected.
        pod_name: Unlike that of every other replica.
        certificates: One of `CERTIFICATES`.
        server_name: What the API server calls this server; the Service's name if none is given.
        service_account: The folder of the service account's token and authority.
    """

    manifest: Path
    host: str
    port: int
    health_port: int
    port_file: Path | None
    drain_seconds: float
    release_namespace: str | None
    pod_name: str
    certificates: str
    tls_cert: Path | None
    tls_key: Path | None
    certificate_secret: str | None
    lease: str | None
    webhook_configuration: str | None
    service: str | None
    server_name: tuple[str, ...]
    serving_lifetime: timedelta
    authority_lifetime: timedelta
    trust_settle: timedelta
    certificate_poll: timedelta
    owner_deployment: str | None
    service_account: Path
    otlp_endpoint: str | None
    follow: tuple[str, ...]
    missed_pods_interval: timedelta
    evict_per_round: int
    progress: str | None
    gateway_token_file: Path | None
    lookup: tuple[str, ...]
    lookup_budget: timedelta
    oldest_kubelet: str | None

    def certificate_files(self) -> tuple[Path, Path]:
        """Certificate and key.

        Raises:
            ConfigurationError: One of them is not given.
        """
        if self.tls_cert is None or self.tls_key is None:
            raise ConfigurationError(
                "There is no certificate to serve with.",
                where="--tls-cert" if self.tls_cert is None else "--tls-key",
                remedy="Give --tls-cert and --tls-key, or --certificates own, cert-manager or secret.",
            )
        return self.tls_cert, self.tls_key

    def cluster_objects(self) -> ClusterObjects:
        """The names of the objects that replicas share; those that only certificates need are empty without them.

        Raises:
            ConfigurationError: One of them is not given.
        """
        needed = {"--release-namespace": self.release_namespace, "--lease": self.lease}
        if self.certificates != FILES:
            needed |= {
                "--certificate-secret": self.certificate_secret,
                "--webhook-configuration": self.webhook_configuration,
            }
        if missing := [flag for flag, value in needed.items() if not value]:
            raise ConfigurationError(
                f"--certificates {self.certificates} needs {', '.join(missing)}.",
                where=missing[0],
                remedy="Give the names of the release's objects; the chart does.",
            )
        return ClusterObjects(
            namespace=self.release_namespace or "",
            secret=self.certificate_secret or "",
            lease=self.lease or "",
            webhook_configuration=self.webhook_configuration or "",
        )

    def follow_settings(self) -> FollowSettings:
        """What is done with pods after their admission."""
        return FollowSettings(
            enabled=frozenset(Follow(name) for name in self.follow),
            instance=self.pod_name,
            namespace=self.release_namespace or "",
            missed_pods_interval=self.missed_pods_interval,
            evict_per_round=self.evict_per_round,
            progress=self.progress,
            gateway_token_file=self.gateway_token_file,
            deployment=self.owner_deployment,
            webhook_configuration=self.webhook_configuration,
        )

    def lookup_settings(self) -> LookupSettings:
        """What the cluster is asked for.

        Raises:
            ConfigurationError: The version is none.
        """
        if self.oldest_kubelet and version_of(self.oldest_kubelet) is None:
            raise ConfigurationError(
                f"{self.oldest_kubelet!r} is no version.",
                where="--oldest-kubelet",
                remedy="Write it as 1.29 or v1.29.3.",
            )
        return LookupSettings(
            enabled=frozenset(Lookup(name) for name in self.lookup),
            namespace=self.release_namespace,
            deployment=self.owner_deployment,
            budget_seconds=self.lookup_budget.total_seconds(),
            oldest_kubelet=self.oldest_kubelet,
        )

    def certificate_settings(self) -> CertificateSettings:
        """What `floe_certs` is told.

        Raises:
            ConfigurationError: The settings cannot work together, or nothing names the server.
        """
        names = self.server_name
        if not names and self.service:
            names = (f"{self.service}.{self.release_namespace}.svc",)
        try:
            return CertificateSettings(
                names,
                Source(self.certificates),
                serving_lifetime=self.serving_lifetime,
                authority_lifetime=self.authority_lifetime,
                settle=self.trust_settle,
                poll=self.certificate_poll,
            )
        except ValueError as error:
            raise ConfigurationError(
                f"The certificates' settings are wrong: {error}.",
                where="--service" if not names else "--serving-lifetime",
                remedy="See docs/certificates.md.",
            ) from None
