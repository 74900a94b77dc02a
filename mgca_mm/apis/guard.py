"""Who may ask the page: browsers of this machine that look at the page itself."""

import gradio as gr
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_NAMES = ("127.0.0.1", "localhost", "[::1]")


class SamePageOnly:
    """Refuse what other web sites make a browser ask of a server on this machine.

    A site whose name leads to 127.0.0.1 ("DNS rebinding") is recognized by the host, a script or a form of another
    page, also of another port, by the origin; pictures, frames and scripts that a page includes have no origin, but
    browsers say where they come from in ``Sec-Fetch-Site``. A link from elsewhere may be followed.

    Args:
        app: What serves the page; it must not be reached in another way.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with 403."""
        if scope["type"] == "lifespan" or _is_own(scope):
            await self.app(scope, receive, send)
        else:
            text = "Open the page at its own address; a tunnel must keep the number of its port."
            await PlainTextResponse(text, 403)(scope, receive, send)


class GuardedApp(gr.routes.App):
    """Gradio's server behind :class:`SamePageOnly`, for ``launch(_app=GuardedApp())``.

    As a middleware of gradio's it would stand behind the one that tells browsers which origins may read an answer, and
    that takes any for a host it does not know.
    """

    def __init__(self):
        super().__init__(default_response_class=gr.routes.ORJSONResponse)  # as gradio makes it

    def build_middleware_stack(self) -> ASGIApp:
        """All of gradio's, and the guard before them."""
        return SamePageOnly(super().build_middleware_stack())


def _is_own(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    port = scope["server"][1]
    if len(hosts) != 1 or hosts[0].lower() not in {f"{name}:{port}" for name in _NAMES}:
        return False
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if not followed or scope["method"] != "GET":
            return False
    return origins in ([], [f"http://{hosts[0]}".lower()])
