"""The page in headless Chromium, on a desk and on a phone: examples, words, regions, mistakes, without errors.

Screenshots: PAGE_SCREENSHOTS=DIR.
"""

import functools
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT

from .server import Server

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def server(checkpoint, prepared, tmp_path_factory):
    temporary = tmp_path_factory.mktemp("tmp")
    options = ["--data", str(prepared / "data"), "--index", str(temporary / "index")]
    options += ["--phrases", str(prepared / "raw/phantom-phrases.csv")]
    server = Server(checkpoint, *options, temporary=temporary)
    yield server
    had_uploads = bool(server.uploads())
    assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert had_uploads and list(server.temporary.glob("mgca_mm_page_*")) == []


@pytest.fixture
def address(server):
    return server.address


@pytest.fixture(params=[(1400, 1300), (390, 844)], ids=["desk", "phone"])
def page(request, address):
    """A fresh page; no message of the console may be an error, and nothing may be asked of another host."""
    problems = []
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page(viewport=dict(zip(("width", "height"), request.param, strict=True)))
        page.on("console", lambda line: problems.append(line.text) if _is_error(line) else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if _is_elsewhere(request.url) else None)
        page.goto(address)
        yield page
        if folder := os.environ.get("PAGE_SCREENSHOTS"):
            name = re.sub(r"\W+", "_", os.environ["PYTEST_CURRENT_TEST"].partition("::")[2].partition(" ")[0])
            page.screenshot(path=str(Path(folder, f"{name}.png")), full_page=True)
        browser.close()
    assert problems == []


def _is_error(line):
    """Not that gradio's client closes its stream of answers before it is open, which it says on a slow machine."""
    return line.type == "error" and not line.text.startswith("AbortError: signal is aborted without reason")


def _is_elsewhere(url):
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def picture(page):
    return page.locator("#image img").get_attribute("src", timeout=30_000)


def wait_for_another(page, before):
    for _ in range(150):
        if picture(page) != before:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the picture did not change")


def drop(page, file, report):
    """Give a file and a report of one's own."""
    if not page.locator("#file").is_visible():
        page.locator("#own button").first.click()
    clear = page.locator("#file").get_by_label("Clear")
    if clear.count():
        clear.first.click()
    page.locator("#file input[type=file]").set_input_files(str(file))
    page.locator("#report textarea").fill(report)
    page.locator("#file").get_by_text(Path(file).stem[:8]).first.wait_for(timeout=30_000)
    page.locator("#show").click()


def test_it_opens_with_an_example(page):
    assert "research only" in page.locator("#banner").inner_text(timeout=30_000)
    first = picture(page)
    names = page.locator("#examples .card span").all_inner_texts()
    assert len(set(names)) == len(names) >= 2
    page.locator("#nearest li").first.wait_for(timeout=60_000)
    assert page.locator("#findings tr").count() == 9 and page.locator("#nearest .card").count() >= 4
    assert page.locator("#image rect").count() >= 2 and page.locator("#words .chosen").count() >= 1
    # Nothing is wider than the page, and the radiograph is in sight at once.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#image img").bounding_box()["y"] < page.viewport_size["height"] / 2
    page.locator("#nearest .card").first.click()
    wait_for_another(page, first)


def test_words_have_maps_and_regions_have_words(page, prepared):
    before = picture(page)
    report = "FINDINGS: There is a large left pleural effusion. <script>alert(1)</script> ${1+1}\nNo pneumothorax."
    drop(page, next((prepared / "raw").rglob("*.jpg")), report)
    wait_for_another(page, before)
    words = page.locator("#words")
    assert words.locator(".report").inner_text() == report
    assert words.locator(".chosen.word").all_inner_texts() == ["large", "left", "pleural", "effusion"]
    assert words.locator(".denied.word").all_inner_texts() == ["pneumothorax"]
    # By the keyboard, which stays at the word. The maps of the untrained model are all dark; what is said changes.
    words.get_by_text("pneumothorax").focus()
    page.keyboard.press("Enter")
    page.locator("#image figcaption").get_by_text("“pneumothorax”: bright where the model").wait_for()
    assert words.locator(".chosen.word").all_inner_texts() == ["pneumothorax"]
    page.wait_for_function("document.activeElement.innerText === 'pneumothorax'", timeout=10_000)
    page.get_by_label("Attention").click()
    page.locator("#image figcaption").get_by_text("“pneumothorax”: bright where its words").wait_for()
    page.locator("#image .picture").click()
    page.locator("#image figcaption").get_by_text("the region in the circle").wait_for()
    assert page.locator("#image circle").count() == 2 and words.locator(".weighted").count() == 1
    words.get_by_text("effusion").click()
    page.wait_for_function("!document.querySelector('.weighted') && !document.querySelector('#image circle')")
    assert page.locator("#findings .strip").count() == 9


def test_mistakes_are_shown(page, tmp_path):
    picture(page)
    (tmp_path / "notes.png").write_text("no picture")
    drop(page, tmp_path / "notes.png", "effusion")
    page.get_by_text("neither a JPEG").first.wait_for(timeout=30_000)
    page.wait_for_timeout(500)
    assert page.locator(".toast-body").count() == 1
    page.locator(".toast-close").click()
    page.locator("#file").get_by_label("Clear").first.click()
    page.locator("#show").click()
    page.get_by_text("Drop a radiograph first").first.wait_for(timeout=30_000)


def test_an_image_unlike_the_data_is_told(page, tmp_path):
    before = picture(page)
    page.locator("#nearest li").first.wait_for(timeout=60_000)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    drop(page, tmp_path / "noise.png", "effusion")
    wait_for_another(page, before)
    page.locator("#warning").get_by_text("unlike the data").wait_for(timeout=30_000)
    page.locator("#examples .card").first.click()
    page.locator("#warning .warning").wait_for(state="detached", timeout=30_000)


HOSTILE = """<title>waiting</title><form id="form" target="frame" method="post" action="ADDRESS/gradio_api/upload"
enctype="multipart/form-data"><input name="files" value="x"></form><iframe name="frame"></iframe>
<iframe id="page" src="ADDRESS/"></iframe>
<script>
const told = [];
const ask = (path, options) => fetch("ADDRESS" + path, {credentials: "include", ...options})
  .then(answer => answer.text().then(text => told.push(answer.type + answer.status + text)))
  .catch(() => told.push("nothing"));
const json = {method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify({data: ["Where it is found"], event_data: {index: 0}})};
(async () => {
  for (const path of ["/", "/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=s"]) await ask(path, {});
  await ask("/config", {mode: "no-cors"});
  await ask("/gradio_api/run/choose", json);
  await ask("/gradio_api/run/choose", {...json, mode: "no-cors", headers: {}});
  const form = new FormData(); form.append("files", new Blob(["x"]), "x.png");
  await ask("/gradio_api/upload", {method: "POST", body: form, mode: "no-cors"});
  document.getElementById("form").submit();
  document.told = told; document.title = "done";
})();
</script>"""


def test_another_site_gets_nothing(server, tmp_path):
    """Opened in the same browser as the page, it asks with all cookies, and also posts a form."""
    (tmp_path / "index.html").write_text(HOSTILE.replace("ADDRESS", server.address))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site, playwright.sync_playwright() as driver:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context()
        own = context.new_page()
        own.goto(server.address)
        own.locator("#banner").wait_for(timeout=30_000)
        server.upload(b"x")
        before, answers = server.uploads(), []
        page = context.new_page()
        page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        for host in ("127.0.0.1", "localhost"):  # another origin of the same site, and another site
            page.goto(f"http://{host}:{site.server_port}/")
            page.wait_for_function("document.title === 'done'", timeout=30_000)
            told = page.evaluate("document.told")
            # What is opaque to the script has no text, and the page has not answered it either.
            assert set(told) <= {"nothing", "opaque0"} and len(told) == 8, told
            page.wait_for_timeout(1000)
        asked = [status for url, status in answers if url.startswith(server.address)]
        assert len(asked) >= 8 and set(asked) == {403}, answers
        assert server.uploads() == before
        browser.close()
        site.shutdown()


def test_login(checkpoint, tmp_path):
    """Without the password there is nothing but a form; the end of the terminal ends the page and its folder."""
    server = Server(checkpoint, "--login", temporary=tmp_path)
    password = server.password()
    assert server.address in server.printed()
    client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with pytest.raises(urllib.error.HTTPError, match="401"):
        client.open(f"{server.address}/config")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        log_in(client, server, "guess")
    log_in(client, server, password)
    assert "banner" in client.open(f"{server.address}/config").read().decode()
    assert len(list(tmp_path.glob("mgca_mm_page_*"))) == 1
    assert server.end(signal.SIGHUP) == 128 + signal.SIGHUP
    assert list(tmp_path.glob("mgca_mm_page_*")) == []


def log_in(client, server, password):
    form = urllib.parse.urlencode(dict(username="mgca", password=password)).encode()
    client.open(f"{server.address}/login", form).close()


def test_no_hub_is_asked():
    """The libraries have read the setting, which they do when they are imported."""
    check = (
        "import contextlib, sys; from mgca_mm.cli.app import main; sys.argv = ['app', '--checkpoint', 'absent.pth']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "h = sys.modules['huggingface_hub']; print(h.constants.HF_HUB_OFFLINE)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "True", done.stderr
