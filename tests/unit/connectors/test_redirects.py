"""Answers that lead to another place: nobody goes there, and no secret does, whatever asks."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.access.egress import HttpEgress
from penstock.connectors import connectors
from penstock.connectors.pinning import PinnedProxy
from penstock.core.access import Destination, Policy
from penstock.core.errors import SourceRefused
from penstock.sandbox.raw import open_raw
from penstock.sandbox.strict import StrictSandbox
from tests.pipelines import pipeline_context

S3 = connectors()["s3"]
CODES = (301, 302, 303, 307, 308)


class Places:
    """A server that the policy lists and that leads to another, which it does not list."""

    def __init__(self) -> None:
        self.code = 302
        self.asked: list[str] = []
        self.inside: list[str] = []
        self.servers = [self._server("127.0.0.2", self._answer), self._server("127.0.0.1", self._lead)]
        self.url = f"http://127.0.0.1:{self.servers[1].server_port}"

    def _server(self, host, answer):
        class Handler(BaseHTTPRequestHandler):
            """Answers everything alike."""

            def do_GET(self) -> None:
                """Take what there is, and answer."""
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer(self)

            def do_POST(self) -> None:
                """Do the same."""
                self.do_GET()

            def do_PUT(self) -> None:
                """Do the same."""
                self.do_GET()

            def log_message(self, *_given) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer((host, 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def _answer(self, handler) -> None:
        self.inside.append(handler.path)
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"[]")

    def _lead(self, handler) -> None:
        self.asked.append(handler.path)
        handler.send_response(self.code)
        handler.send_header("Location", f"http://127.0.0.2:{self.servers[0].server_port}{handler.path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def close(self) -> None:
        """End both."""
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def places():
    with contextlib.closing(Places()) as places:
        yield places


@pytest.fixture(scope="module")
def bench(tmp_path_factory, places):
    egress, policy = HttpEgress(), Policy(egress=("127.0.0.1",))
    token = "auth: { kind: bearer, token: '${secret:T}' }"
    client = f"auth: {{ kind: oauth2, token_url: '{places.url}/token', client_id: a, client_secret: '${{secret:T}}' }}"
    files = {
        "penstock.yml": "name: shop\nconnections:\n"
        f"  api: {{ kind: rest, url: '{places.url}', tries: 1, {token} }}\n"
        f"  with_token: {{ kind: rest, url: '{places.url}', tries: 1, {client} }}\n",
        "pipelines/main.yml": "tasks:\n"
        "  read: { kind: ingest, from: { connection: api, path: orders }, to: raw.a }\n"
        "  fetch_token: { kind: ingest, from: { connection: with_token, path: orders }, to: raw.b }\n"
        "  send: { kind: export, from: raw.c, to: { connection: api, path: orders } }\n",
    }
    with (
        contextlib.closing(StrictSandbox()) as strict,
        pipeline_context(
            tmp_path_factory.mktemp("redirects"),
            files=files,
            connection_kinds=connectors(),
            strict=strict,
            raw=lambda: open_raw(strict, parallel=1),
            resolve=lambda _workspace, url: egress.check(url, policy=policy),
        ) as bench,
    ):
        bench.secrets["T"] = "s3cr3t"
        bench.put("raw.c", [{"id": 1}])
        yield bench


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("task", ["read", "fetch_token", "send"])
def test_a_connection_does_not_follow_what_leads_elsewhere(bench, places, task, code):
    places.code = code
    before = len(places.asked)
    with pytest.raises(SourceRefused, match=f"answered {code}, which leads elsewhere") as refused:
        bench.run(task)
    assert "127.0.0.2" not in f"{refused.value.message} {refused.value.hint}"
    assert len(places.asked) == before + 1
    assert places.inside == []


@pytest.mark.parametrize("code", CODES)
def test_a_webhook_does_not_either(places, code):
    places.code = code
    status = HttpEgress().post(f"{places.url}/hook", b"{}", headers={}, policy=Policy(egress=("127.0.0.1",)))
    assert (status, places.inside) == (code, [])


@pytest.mark.parametrize("code", CODES)
def test_a_bucket_does_not_either(bench, places, tmp_path, code):
    places.code = code
    settings = S3.Spec.model_validate(
        {"bucket": "bucket", "endpoint": places.url, "key_id": "a", "secret_key": "b", "tries": 1}
    )
    (tmp_path / "x.csv").write_bytes(b"a\n1\n")
    for work in (
        lambda: list(S3.fetch("lake", settings, S3.From(path="*.csv"), bench.ctx())),
        lambda: S3.send("lake", settings, S3.To(path="x.csv"), tmp_path / "x.csv", bench.ctx()),
    ):
        with pytest.raises(SourceRefused, match="leads to another place"):
            work()
    assert places.inside == []


@pytest.fixture
def echo():
    """Give the port of a server that sends back what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.sendall(connection.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("place", "scheme", "answer"),
    [
        ("shop.example", "https", b"200"),
        ("SHOP.example", "https", b"200"),
        ("shop.example", "http", b"421"),  # what is said to be plain is not tunnelled
        ("169.254.169.254", "https", b"421"),
        ("shop.example.evil.example", "https", b"421"),
    ],
)
def test_what_is_encrypted_is_tunnelled_to_the_checked_addresses_of_its_own_place_only(echo, place, scheme, answer):
    destination = Destination(scheme, "shop.example", echo, "/", ("127.0.0.1",))  # a name that no server knows
    with (
        PinnedProxy(destination) as proxy,
        socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as client,
    ):
        client.sendall(f"CONNECT {place}:{echo} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).split()[1] == answer
        assert proxy.refused == (answer == b"421")
        if not proxy.refused:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"


def test_a_second_request_on_a_plain_connection_goes_nowhere_else(places):
    port = places.servers[1].server_port
    inside = f"127.0.0.2:{places.servers[0].server_port}"
    with (
        PinnedProxy(Destination("http", "127.0.0.1", port, "/", ("127.0.0.1",))) as proxy,
        socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as client,
    ):
        asked = [f"GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n" for host in (f"127.0.0.1:{port}", inside)]
        client.sendall("".join(asked).encode())
        answered = b"".join(iter(lambda: client.recv(10_000), b""))
    assert answered.count(b"HTTP/1.") == 1
    assert places.inside == []
