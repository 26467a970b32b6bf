"""The webhook as a program: puts its parts together, serves, follows what changes, drains on SIGTERM.

    SIGTERM ──▶ /readyz says 503, leading ends ──▶ serves on for `drain_seconds` ──▶ closes its listeners

While it drains, each answer closes its connection: Kubernetes takes a while until it sends nobody here any more, and
whoever is still sent here is served.
"""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial

import aiohttp
import structlog

from floe_certs.election import Election
from floe_certs.kubernetes import ClusterApi
from floe_core.errors import ConfigurationError
from floe_core.telemetry import init_telemetry, shutdown_telemetry
from floe_webhook import __version__
from floe_webhook.arguments import FILES, Arguments
from floe_webhook.assembly import Assembly, Parts, assemble
from floe_webhook.certificates import CertificateFiles, ServedCertificate, SharedCertificate
from floe_webhook.cluster.api import KubernetesApi, in_cluster
from floe_webhook.cluster.ownership import OwnedCreation
from floe_webhook.connections import Listener, reachable
from floe_webhook.failures import reason_of
from floe_webhook.following import Follow
from floe_webhook.leading import Duty, ended, keep_running, lead
from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile, follow, read_profile
from floe_webhook.server import TELLING, Webhook
from floe_webhook.tracing import Traces

MOST_API_CONNECTIONS = 32
"""To the API server at once; uvloop reserves 256 KiB for each. What has to wait for one waits within its own time."""

_log = structlog.get_logger(__name__)


async def serve(arguments: Arguments) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        FloeError: The manifest, a flag or a plugin's configuration is wrong.
        OSError: The certificate, the key or an address cannot be used.
    """
    stopped = _stop_signals()
    metrics = Metrics()
    ends_pod_runs = Follow.ENDED_PODS in arguments.follow_settings().enabled
    read = partial(read_profile, release_namespace=arguments.release_namespace, ends_pod_runs=ends_pod_runs)
    profile = CurrentProfile.start(arguments.manifest, metrics, read)
    admissions, health = Listener(metrics.connections_cut), Listener(metrics.connections_cut)
    async with contextlib.AsyncExitStack() as parts:
        api = await parts.enter_async_context(_kubernetes_api(arguments))
        assembly = Assembly() if api is None else assemble(Parts(arguments, api, profile, metrics))
        election = _election(arguments, api)
        metrics.leads(election.leads if election else _never)
        certificate = _certificate(arguments, api, election, metrics, lambda: reachable(admissions.address))
        webhook = Webhook(profile, certificate, metrics, assembly.surroundings, assembly.witness)
        webhook.failed, webhook.more_details = assembly.failed, assembly.details
        webhook.traces = parts.enter_context(_traces(arguments.otlp_endpoint))
        # Compiling a manifest takes milliseconds and asks plugins: beside the event loop.
        followed: Running = {
            "manifest": partial(follow, partial(asyncio.to_thread, profile.refresh)),
            "certificate": certificate.run,
            **{name: follower.run for name, follower in assembly.followers.items()},
        }
        for task in (*followed, *LEADING, *assembly.duties, TELLING):
            metrics.task_failures.labels(task)  # each child exists from the start: an alert needs its zero
        # What is loaded now stays; without it a full collection costs microseconds instead of a pause.
        gc.collect()
        gc.freeze()
        parts.push_async_callback(health.stop)
        await health.start(webhook.health(), arguments.host, arguments.health_port)
        parts.push_async_callback(admissions.stop)
        await admissions.start(webhook.admissions(), arguments.host, arguments.port, certificate.context)
        _announce(arguments, admissions, health, profile)
        async with _kept(followed, metrics):
            async with leading(election, assembly.duties, metrics):
                await stopped.wait()
                webhook.draining = True
                _log.info("draining", seconds=arguments.drain_seconds)
                drained = asyncio.create_task(asyncio.sleep(arguments.drain_seconds))
            await drained
    _log.info("stopped")


Running = dict[str, Callable[[], Awaitable[None]]]

ELECTION, LEADING_TASK = LEADING = ("election", "leading")
"""What the tasks of a replica that may lead are called."""


def _announce(arguments: Arguments, admissions: Listener, health: Listener, profile: CurrentProfile) -> None:
    port = admissions.address[1]
    if arguments.port_file is not None:
        arguments.port_file.write_text(f"{port}\n", encoding="ascii")
    _log.info(
        "serving",
        host=arguments.host,
        port=port,
        health_port=health.address[1],
        certificates=arguments.certificates,
        profile=profile.profile.identity,
    )


def _stop_signals() -> asyncio.Event:
    """Set as soon as somebody asks this process to end."""
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    return stopped


@contextlib.asynccontextmanager
async def _kubernetes_api(arguments: Arguments) -> AsyncIterator[KubernetesApi | None]:
    """The cluster's API; None outside of a cluster, if nothing depends on it.

    Raises:
        ConfigurationError: The certificate comes from the cluster, and there is none.
    """
    try:
        access = in_cluster(os.environ, arguments.service_account)
    except ConfigurationError as error:
        if arguments.certificates != FILES:
            raise
        _log.info("serving without the Kubernetes API", reason=str(error))
        yield None
        return
    connector = aiohttp.TCPConnector(limit=MOST_API_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield KubernetesApi(session, access)


def _election(arguments: Arguments, api: KubernetesApi | None) -> Election | None:
    if api is None or not arguments.lease or not arguments.release_namespace:
        return None
    return Election(_cluster(arguments, api), arguments.pod_name)


def _cluster(arguments: Arguments, api: KubernetesApi) -> ClusterApi:
    objects = arguments.cluster_objects()
    return ClusterApi(OwnedCreation(api, api, objects.namespace, arguments.owner_deployment), objects)


def _certificate(
    arguments: Arguments,
    api: KubernetesApi | None,
    election: Election | None,
    metrics: Metrics,
    address: Callable[[], tuple[str, int]],
) -> ServedCertificate:
    if arguments.certificates == FILES or api is None:
        return CertificateFiles(*arguments.certificate_files(), metrics.certificates)
    return SharedCertificate(
        arguments.certificate_settings(),
        _cluster(arguments, api),
        leads=election.leads if election else _never,
        address=address,
        metrics=metrics.certificates,
    )


def _never() -> bool:
    return False


@contextlib.asynccontextmanager
async def leading(election: Election | None, duties: Mapping[str, Duty], metrics: Metrics) -> AsyncIterator[None]:
    """Takes part in the election, and does the duties while it is won, until the block is left."""

    def lost(error: Exception) -> None:
        metrics.task_failures.labels(ELECTION).inc()
        _log.error("the election cannot be taken part in", reason=reason_of(error))

    if election is None:
        yield
        return
    taking_part: Running = {ELECTION: partial(election.run, lost)}
    doing: Running = {LEADING_TASK: partial(lead, duties, election.leads, _counted(metrics))}
    # Left from the inside: the Lease is given back once the duties have ended, and only then others begin theirs.
    async with _kept(taking_part, metrics), _kept(doing, metrics):
        yield


def _counted(metrics: Metrics) -> Callable[[str], None]:
    return lambda task: metrics.task_failures.labels(task).inc()


@contextlib.asynccontextmanager
async def _kept(running: Running, metrics: Metrics) -> AsyncIterator[None]:
    """Keeps everything running until the block is left, on the loop that accepts connections."""
    tasks = [asyncio.create_task(keep_running(name, run, _counted(metrics))) for name, run in running.items()]
    try:
        yield
    finally:
        await ended(tasks)


@contextlib.contextmanager
def _traces(endpoint: str | None) -> Iterator[Traces | None]:
    if not endpoint:
        yield None
        return
    providers = init_telemetry("floe-webhook", __version__, endpoint, make_global=False)
    try:
        yield Traces(providers[0].get_tracer("floe_webhook", __version__))
    finally:
        shutdown_telemetry(*providers)
