"""A webhook that allows everything and keeps which path was called for which pod.

It stands where the real webhook stands, to see what the API server sends, and by which entry; or beside it, as another
injector that adds a container of its own once.
"""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.cluster.certificates import KeyPairFiles
from tests.e2e.cluster.processes import LOOPBACK


@dataclass(slots=True)
class AdmissionRecorder:
    """A listening recorder and the calls that it has answered."""

    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(path, name of the pod), in order."""

    def paths_for(self, pod_name: str) -> list[str]:
        """The paths that were called for a pod."""
        return [path for path, name in self.calls if name == pod_name]


@contextmanager
def admission_recorder(
    serving: KeyPairFiles, host: str = LOOPBACK, added_container: dict[str, Any] | None = None
) -> Iterator[AdmissionRecorder]:
    """A recorder that serves TLS on a free port.

    Args:
        serving: Its certificate, for `host`.
        host: Where it listens.
        added_container: What it adds to each pod that has no container of that name; by default nothing.
    """
    recorder = AdmissionRecorder()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = review["request"]
            recorder.calls.append((self.path.partition("?")[0], request["object"]["metadata"]["name"]))
            response = {"uid": request["uid"], "allowed": True, **_patch(request["object"], added_container)}
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests look at `calls`."""

    with ThreadingHTTPServer((host, 0), Answer) as server:
        server.daemon_threads = True  # the API server keeps its connections open
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(serving.certificate, serving.key)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        recorder.url = f"https://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


def _patch(pod: dict[str, Any], added_container: dict[str, Any] | None) -> dict[str, str]:
    names = {container["name"] for container in pod["spec"]["containers"]}
    if added_container is None or added_container["name"] in names:
        return {}
    operations = [{"op": "add", "path": "/spec/containers/-", "value": added_container}]
    return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
