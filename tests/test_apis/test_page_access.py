"""Who may ask the page, for what, and how much of it at once: over the running server, by bare HTTP."""

import contextlib
import json
import signal
import socket
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.test_apis.server import Server

pytest.importorskip("gradio")
VIEW = "Where it is found"
OWN = "127.0.0.1:PORT"
# What is asked of hosts that are not this page's; a request without or with several hosts is none of HTTP/1.1.
FOREIGN_HOSTS = [
    *([], [""], ["evil.example"], ["evil.example:PORT"], ["127.0.0.1"], ["localhost"], ["127.0.0.1:1"], ["[::1]:1"]),
    *(["localhost.:PORT"], ["me@127.0.0.1:PORT"], ["127.0.0.1:PORT.evil.example"], ["127.0.0.1:PORT@evil.example"]),
    *(["0.0.0.0:PORT"], ["127.1:PORT"], ["evil.example:PORT, 127.0.0.1:PORT"], [OWN, "evil.example:PORT"]),
]
FOREIGN_ORIGINS = [
    *("http://evil.example", "http://evil.example:PORT", "null", "", "http://localhost:1", "http://127.0.0.1:1"),
    *("https://127.0.0.1:PORT", "http://localhost:PORT", "http://127.0.0.1", "http://127.0.0.1:PORT.evil.example"),
]
# One of each kind: the page, what it is made of, the queue and its events, files, uploads, calls, the login.
WAYS = [
    *(("GET", "/"), ("HEAD", "/"), ("GET", "/config"), ("GET", "/gradio_api/info"), ("GET", "/theme.css")),
    *(("GET", "/gradio_api/queue/data?session_hash=s"), ("GET", "/gradio_api/heartbeat/s"), ("GET", "FILE")),
    *(("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"), ("POST", "/gradio_api/run/choose")),
    *(
        ("POST", "/gradio_api/call/choose"),
        ("POST", "/login"),
        ("OPTIONS", "/config"),
        ("OPTIONS", "/gradio_api/upload"),
    ),
    ("GET", "/nothing"),
]


@pytest.fixture(scope="module", params=["open", "login"])
def server(request, checkpoint, prepared, tmp_path_factory):
    login = ["--login"] if request.param == "login" else []
    temporary = tmp_path_factory.mktemp("tmp")
    options = ["--data", str(prepared / "data"), "--index", str(temporary / "index"), *login]
    server = Server(checkpoint, *options, temporary=temporary)
    server.headers = []  # of a browser that has logged in
    if login:
        form = urllib.parse.urlencode(dict(username="mgca", password=server.password())).encode()
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        status, headers, _ = server.ask("/login", [("Host", server.host), kind], form)
        assert status == 200
        cookies = [cookie.partition(";")[0] for cookie in headers.get_all("set-cookie")]
        server.headers = [("Cookie", "; ".join(cookies))]
    content = next((prepared / "raw").rglob("*.jpg")).read_bytes()
    server.file = server.upload(content, "x.jpg", server.headers)
    yield server
    assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM


def ask(server, method, path, hosts, *headers):
    """Send what would be answered, if the host and the headers were those of the page."""
    names = [(name, value.replace("PORT", str(server.port))) for name, value in headers]
    names += [("Host", host.replace("PORT", str(server.port))) for host in hosts]
    body = None
    if method == "POST":
        body = json.dumps({"data": [VIEW], "event_data": {"index": 1}, "session_hash": "s", "fn_index": 0}).encode()
        names.append(("Content-Type", "application/json"))
    path = f"/gradio_api/file={server.file}" if path == "FILE" else path
    return server.ask(path, [*server.headers, *names], body, method)


def refuse(server, method, path, hosts, *headers):
    status, answered, content = ask(server, method, path, hosts, *headers)
    assert status in (400, 403), (method, path, hosts, headers, status)
    assert "access-control-allow-origin" not in answered
    assert len(content) < 100 and b"banner" not in content


@pytest.mark.parametrize(("method", "path"), WAYS)
def test_foreign_hosts_and_origins(server, method, path):
    asks = ("Access-Control-Request-Method", "POST")
    for hosts in FOREIGN_HOSTS:
        refuse(server, method, path, hosts)
        # The name of the site leads to this machine: the page is its own, as far as the browser knows.
        refuse(server, method, path, hosts, ("Origin", f"http://{hosts[0] if hosts else ''}"), asks)
    for origin in FOREIGN_ORIGINS:
        refuse(server, method, path, [OWN], ("Origin", origin), asks)
    refuse(server, method, path, [OWN], ("Origin", f"http://{OWN}"), ("Origin", "http://evil.example"))
    for site in ("cross-site", "same-site", "?"):
        refuse(server, method, path, [OWN], ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"))
        refuse(
            server, method, path, [OWN], ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "iframe"),
        )  # fmt: skip


def test_own_hosts_and_origins(server):
    for host, origin in (
        *((OWN, OWN), ("localhost:PORT", "localhost:PORT"), ("LocalHost:PORT", "localhost:PORT")),
        ("[::1]:PORT", "[::1]:PORT"),
    ):
        for headers in ([], [("Origin", f"http://{origin}")], [("Sec-Fetch-Site", "same-origin")]):
            status, _, content = ask(server, "GET", "/config", [host], *headers)
            assert status == 200 and b"banner" in content, (host, headers)
    link = (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"))
    assert ask(server, "GET", "/", [OWN], *link)[0] == 200
    assert ask(server, "POST", "/gradio_api/run/choose", [OWN], ("Origin", f"http://{OWN}"))[0] == 200


def test_the_target_names_another_host(server):
    """As a proxy is asked."""
    for host in ("evil.example", OWN.replace("PORT", str(server.port))):
        assert ask(server, "GET", f"http://{host}/config", ["evil.example"])[0] == 403
    assert ask(server, "GET", "http://evil.example/config", [OWN])[0] == 404


@pytest.mark.parametrize("server", ["login"], indirect=True, scope="module")
def test_no_password_no_answer(server):
    for method, path in (
        ("GET", "/config"),
        ("GET", f"/gradio_api/file={server.file}"),
        ("POST", "/gradio_api/upload"),
    ):
        body = b"{}" if method == "POST" else None
        assert server.ask(path, [("Host", server.host)], body, method)[0] == 401, path


def named(path, **others):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **others}


def show(server, file, report):
    """What the button "Show" calls: file, report, the example that it is, view."""
    return server.call("show", [file, report, None, VIEW], headers=server.headers)


def test_files_of_the_server_are_not_read(server, checkpoint, prepared):
    """A client names the file itself: what nobody has uploaded is neither served nor taken for an image."""
    image = next((prepared / "raw").rglob("*.jpg"))  # which the model could read
    above = f"{server.file}/../../../printed.txt"
    for path in (
        "/etc/passwd",
        str(checkpoint),
        str(prepared / "data/images.npy"),
        str(image),
        "README.md",
        above,
        "/",
    ):
        status, _, content = ask(server, "GET", f"/gradio_api/file={urllib.parse.quote(path)}", [OWN])
        assert status == 403 and len(content) < 400, path
        status, content = show(server, named(path), "effusion")
        assert (status, content) == (500, '{"error":null}'), path
    assert show(server, named(server.file, url="/etc/passwd"), "effusion")[0] == 200


def test_other_servers_are_not_asked(server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.1)
        url = f"http://127.0.0.1:{other.getsockname()[1]}/x.png"
        for file in (named(url), named(server.file, url=url)):
            show(server, file, "effusion")
        status, content = show(server, named("http://127.0.0.1.nip.io/x.png"), "x")
        assert status == 500 and "Give a file, not an address" in content
        with pytest.raises(TimeoutError):
            other.accept()


def test_odd_values(server):
    """Anybody may call the page's functions with any values; what they are told is short, and says nothing else."""
    for number in (None, -1, 10**9, "x", 1.5, [], {}, [1]):
        status, content = server.call("choose", [VIEW], {"index": number}, headers=server.headers)
        assert status == 500 and "Choose one" in content, content
    for view in (None, -1, "x", [], {}):
        status, content = server.call("choose", [view], {"index": 0}, headers=server.headers)
        assert status == 200 or (status == 500 and len(content) < 300), content
    before = len(server.printed())  # gradio prints where a choice is none of the list's
    for name, data in (("look_at_word", [None, VIEW]), ("look_at_region", [None]), ("look_again", [None, VIEW])):
        for event in ({"index": -1, "value": "x"}, {}, None):
            status, content = server.call(name, data, event, headers=server.headers)
            assert status == 500 and "Show a radiograph" in content
    status, content = server.call("compare", [None], headers=server.headers)
    assert status == 200 and len(content) < 1000
    for report in (None, "", "\x00\x01", "\udcff", [], "lungs " * 2_000_000):
        status, content = show(server, named(server.file), report)
        assert status == 500 and len(content) < 200 and '"error":"' in content, content
    status, _ = show(server, named(server.file), "\ud800 \x07effusion")
    assert status == 200
    assert server.printed()[before:] == ""


def test_no_report_is_printed(server):
    for file in (named("/etc/passwd"), named(server.file), None, [], "x"):
        show(server, file, "SECRETWORD is seen")
    assert "SECRETWORD" not in server.printed()


def test_twenty_clients(server):
    barrier = threading.Barrier(20)

    def look(number):
        barrier.wait(60)
        return show(server, named(server.file), f"effusion number {number}")

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(look, range(20)))
    for number, (status, content) in enumerate(answers):
        # The words of its own report, and nobody else's.
        assert status == 200 and f">{number}</span>" in json.loads(content)["data"][1], (number, content[:300])


def peak_memory(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_large_upload_is_refused(server):
    """600 MB are not kept, in memory or on the disk."""
    before, head = (
        peak_memory(server.process),
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n',
    )
    size, block = 600 * 10**6, bytes(10**6)
    lines = ["POST /gradio_api/upload HTTP/1.1", f"Host: {server.host}", f"Content-Length: {len(head) + size}"]
    lines += ["Content-Type: multipart/form-data; boundary=b", *(f"{name}: {text}" for name, text in server.headers)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + head)
        with contextlib.suppress(ConnectionError):  # it may close before everything is sent
            for _ in range(size // len(block)):
                client.sendall(block)
        assert client.recv(100).split()[1] == b"413"
    assert peak_memory(server.process) - before < 100 * 2**20
    assert sum(file.stat().st_size for file in server.temporary.rglob("*") if file.is_file()) < 50 * 10**6
