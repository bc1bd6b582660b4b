"""What a URL of a tenant may reach, and what of it is really connected to."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.access import egress as egress_module
from penstock.access.egress import HttpEgress, is_public
from penstock.core.access import Policy
from penstock.core.egress import entry_problem
from penstock.core.errors import DestinationUnavailable, EgressRefused

CLOSED = Policy()
PUBLIC = "93.184.216.34"


class Names:
    """A resolver whose answers are data; asked more than once, it gives the next."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host, port):
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, OSError):
            raise answer
        return answer


def check(url, *addresses, policy=CLOSED):
    return HttpEgress(Names(list(addresses) or [PUBLIC])).check(url, policy=policy)


def test_a_public_host_is_reached_at_the_address_that_was_checked():
    found = check("https://hooks.example.com/path?x=1#part", PUBLIC, "2606:4700::1111")
    assert (found.scheme, found.host, found.port, found.target) == ("https", "hooks.example.com", 443, "/path?x=1")
    assert found.addresses == (PUBLIC, "2606:4700::1111")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",  # metadata of AWS, Azure, Google
        "100.64.0.1",
        "100.100.100.200",  # metadata of Alibaba
        "168.63.129.16",  # Azure's, on an address that looks public
        "192.0.0.192",  # Oracle's
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",  # AWS's, by IPv6
        "ff02::1",
        "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "2002:a9fe:a9fe::1",
        "2001::1",  # Teredo
        "2001:db8::1",
        "::127.0.0.1",
        "100::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(EgressRefused, match="not a public address"):
        check("https://hooks.example.com/", address)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(EgressRefused):
        check(f"https://{host}/")


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:a00:1"])
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_what_it_is(address):
    with pytest.raises(EgressRefused, match="not a public address"):
        check(f"https://[{address}]/")
    with pytest.raises(EgressRefused, match="not a public address"):
        check("https://hooks.example.com/", address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_a_public_address_is_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",  # 127.0.0.1 as one number
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "127.000.000.001",
        "1.2.3",
        "host.0x7f",
        "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
        "127\N{IDEOGRAPHIC FULL STOP}0.0.1",
        "[::1%25lo]",
        "[fe80::1%25eth0]",
        "",
        "a..b",
        "-a.example.com",
        "a" * 64 + ".com",
        "exa mple.com",
        "exam%70le.com",
        "localhost%00.example.com",
    ],
)
def test_a_host_that_parsers_could_read_differently_is_refused_before_any_name_is_resolved(host):
    names = Names([PUBLIC])
    with pytest.raises(EgressRefused):
        HttpEgress(names).check(f"https://{host}/", policy=CLOSED)
    assert names.asked == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",  # without TLS, and not listed
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "https://user@hooks.example.com/",
        "https://user:word@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://127.0.0.1\\@hooks.example.com/",
        "https://127.0.0.1#@hooks.example.com/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://hooks.example.com/\r\nX-Evil: 1",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/\N{SNOWMAN}",
        "https://[::1/",
        "https://hooks.example.com/" + "x" * 2_048,
        "",
    ],
)
def test_a_url_that_is_not_plain_is_refused(url):
    with pytest.raises(EgressRefused):
        check(url)


def test_one_bad_address_among_good_ones_refuses_the_name():
    with pytest.raises(EgressRefused, match=r"10\.0\.0\.1"):
        check("https://hooks.example.com/", PUBLIC, "10.0.0.1")


@pytest.mark.parametrize("answer", [OSError("no such name"), []])
def test_a_name_without_an_address_is_tried_again_later(answer):
    with pytest.raises(DestinationUnavailable):
        HttpEgress(Names(answer)).check("https://hooks.example.com/", policy=CLOSED)


@pytest.mark.parametrize(
    ("url", "entry", "address"),
    [
        ("https://hooks.internal/", "hooks.internal", "10.0.0.1"),
        ("https://HOOKS.internal./", "hooks.internal", "10.0.0.1"),
        ("http://hooks.internal:8080/", "hooks.internal:8080", "10.0.0.1"),
        ("http://hooks.example.com/", "hooks.example.com", PUBLIC),
        ("https://hooks.internal/", "10.0.0.0/8", "10.0.0.1"),
        ("https://hooks.internal/", "10.0.0.0/8", "::ffff:10.0.0.1"),
        ("http://10.0.0.1:9/", "10.0.0.1", "10.0.0.1"),
        ("http://[fd00::1]:9/", "[fd00::1]:9", "fd00::1"),
        ("http://[fd00::1]:9/", "fd00::/8", "fd00::1"),
    ],
)
def test_what_the_policy_lists_is_reached(url, entry, address):
    assert entry_problem(entry) is None
    assert check(url, address, policy=Policy((entry,))).addresses == (address.removeprefix("::ffff:"),)


@pytest.mark.parametrize(
    ("url", "entry", "address"),
    [
        ("https://other.internal/", "hooks.internal", "10.0.0.1"),
        ("https://sub.hooks.internal/", "hooks.internal", "10.0.0.1"),
        ("https://hooks.internal:8443/", "hooks.internal:8080", "10.0.0.1"),
        ("https://hooks.internal/", "10.0.0.0/16", "10.1.0.1"),
        ("https://hooks.internal/", "10.0.0.1", "10.0.0.1"),  # the address is listed as a host, the name is not
    ],
)
def test_what_the_policy_does_not_list_is_not(url, entry, address):
    with pytest.raises(EgressRefused):
        check(url, address, policy=Policy((entry,)))


class Receivers(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received = []


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; its path says how it answers."""

    server: Receivers

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        if self.path == "/hangs":
            time.sleep(1.5)
        if self.path == "/breaks":
            return
        self.send_response({"/moved": 302, "/fails": 500}.get(self.path, 204))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiving(tls=None):
    server = Receivers()
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def receiver():
    with receiving() as started:
        yield started


def post(url, *, names, policy, headers=None, timeout_s=None):
    return HttpEgress(names).post(url, b"{}", headers=headers or {}, policy=policy, timeout_s=timeout_s)


def test_the_connection_goes_to_the_address_that_was_checked_whatever_the_name_says_later(receiver):
    server, port = receiver
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    policy = Policy((f"hooks.test:{port}",))
    assert post(f"http://hooks.test:{port}/hook", names=names, policy=policy, headers={"X-Id": "1", "Host": "x"}) == 204
    assert names.asked == 1
    path, headers, body = server.received[-1]
    assert (path, body, headers["Host"], headers["X-Id"]) == ("/hook", b"{}", f"hooks.test:{port}", "1")


def test_a_name_that_turns_private_is_refused_and_nothing_is_sent(receiver):
    server, port = receiver
    sent = len(server.received)
    names = Names([PUBLIC], ["127.0.0.1"])
    egress = HttpEgress(names)
    egress.check(f"https://hooks.test:{port}/", policy=CLOSED)  # as when a job is submitted
    with pytest.raises(EgressRefused):
        egress.post(f"https://hooks.test:{port}/", b"", headers={}, policy=CLOSED)
    assert len(server.received) == sent


@pytest.mark.parametrize(("path", "status"), [("/moved", 302), ("/fails", 500)])
def test_a_redirect_is_an_answer_like_any_other(receiver, path, status):
    server, port = receiver
    sent = len(server.received)
    policy = Policy((f"127.0.0.1:{port}",))
    assert post(f"http://127.0.0.1:{port}{path}", names=Names([]), policy=policy) == status
    assert len(server.received) == sent + 1


def test_a_proxy_of_the_environment_is_not_asked(receiver, monkeypatch):
    _, port = receiver
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert post(f"http://127.0.0.1:{port}/", names=Names([]), policy=Policy(("127.0.0.0/8",))) == 204


def test_the_next_address_is_tried_when_one_refuses(receiver):
    _, port = receiver
    names = Names(["127.0.0.2", "127.0.0.1"])
    assert post(f"http://hooks.test:{port}/", names=names, policy=Policy(("hooks.test",))) == 204


@pytest.mark.parametrize(("path", "said"), [("/hangs", "within 0.2 s"), ("/breaks", "broke the exchange off")])
def test_a_receiver_that_does_not_answer_is_unavailable(receiver, path, said):
    _, port = receiver
    policy = Policy((f"127.0.0.1:{port}",))
    with pytest.raises(DestinationUnavailable, match=said):
        post(f"http://127.0.0.1:{port}{path}", names=Names([]), policy=policy, timeout_s=0.2)


def test_nobody_listening_is_unavailable():
    with receiving() as (_, port):
        pass
    with pytest.raises(DestinationUnavailable, match="refuses connections"):
        post(f"http://127.0.0.1:{port}/", names=Names([]), policy=Policy(("127.0.0.1",)))


def certificate(folder, host):
    """Write a certificate for a host and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_the_certificate_must_be_the_names_and_not_the_addresss(tmp_path, monkeypatch):
    path = certificate(tmp_path, "hooks.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    egress_module._tls.cache_clear()
    try:
        with receiving(tls) as (server, port):
            policy = Policy(("127.0.0.0/8",))
            assert post(f"https://hooks.test:{port}/", names=Names(["127.0.0.1"]), policy=policy) == 204
            with pytest.raises(DestinationUnavailable):
                post(f"https://other.test:{port}/", names=Names(["127.0.0.1"]), policy=policy)
            assert len(server.received) == 1
    finally:
        egress_module._tls.cache_clear()
