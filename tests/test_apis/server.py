"""The page in a process of its own, and what asks it without a browser."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

from tests.conftest import ROOT


class Server:
    """The page's process, from a checkpoint with its config beside it."""

    def __init__(self, checkpoint, *options, temporary):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, str(ROOT / "tools/app.py"), "--checkpoint", str(checkpoint), *options]
        self.temporary = temporary
        with (temporary / "printed.txt").open("w") as printed:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
            )
        self.host = f"127.0.0.1:{self.port}"
        self.address = f"http://{self.host}"
        for _ in range(240):
            try:
                urllib.request.urlopen(self.address, timeout=5).close()
                break
            except OSError:
                assert self.process.poll() is None, self.printed()
                time.sleep(0.5)

    def printed(self):
        return (self.temporary / "printed.txt").read_text()

    def password(self):
        for _ in range(300):  # it is printed after the server has begun to answer
            if found := re.search(r"Password: (\S+)", self.printed()):
                return found.group(1)
            time.sleep(0.1)
        raise AssertionError(self.printed())

    def uploads(self):
        return [path for path in self.temporary.glob("mgca_mm_page_*/**/*") if path.is_file()]

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(20)

    def ask(self, path, headers=(), body=None, method=None):
        """Status, headers and up to 64 KB of the answer; only the headers that are given are sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = b""
        with contextlib.suppress(ConnectionResetError):  # it has not waited for a body that it does not want
            content = b"" if "event-stream" in answer.headers.get("content-type", "") else answer.read(2**16)
        connection.close()
        return answer.status, answer.headers, content

    def call(self, name, data, event=None, headers=()):
        """What a function of the page answers: events as the server sends them, or its refusal."""
        headers = [("Host", self.host), ("Content-Type", "application/json"), *headers]
        body = json.dumps({"data": data, "event_data": event}).encode()
        status, _, content = self.ask(f"/gradio_api/run/{name}", headers, body)
        return status, content.decode()

    def upload(self, content, name="x.png", headers=()):
        """Path of an upload on the server."""
        body = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        headers = [("Host", self.host), ("Content-Type", "multipart/form-data; boundary=b"), *headers]
        status, _, answer = self.ask("/gradio_api/upload", headers, body + content + b"\r\n--b--\r\n")
        assert status == 200, answer
        return json.loads(answer)[0]
