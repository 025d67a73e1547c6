"""Apprise's plugins over our own wire: one deadline over a try, addresses that may be called (S17), no redirect.

Apprise answers True or False, follows redirects, waits 4 s for each read, sleeps between requests and logs its URLs.
Here a plugin's `requests` is replaced by an object that speaks through sockets under a deadline and keeps what came
back, so that a refusal is known to be permanent or not. Only the plugins that are named in domain/contacts.py are
loaded: no configuration, no attachment, no other service.
"""

import http.client
import importlib
import logging
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from apprise.asset import AppriseAsset
from apprise.common import NotifyType
from apprise.plugins.base import NotifyBase
from requests.adapters import BaseAdapter

from ..domain.dispatches import Outcome
from . import DEADLINE_S
from .deadline import connect, tls_context, wrap
from .reach import Reach, Refused

ANSWER_MAX = 65_536
REQUESTS_MAX = 8  # of one try: a Matrix login, the room, the message
TEMPORARY = (408, 425, 429)  # of the 4xx: trying again may help

logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it writes whole URLs, with what opens them


@dataclass(slots=True)
class _Try:
    """What one try may do and what came of it."""

    reach: Reach
    context: Any
    deadline_s: float
    statuses: list[int] = field(default_factory=list)
    refused: str = ""
    trouble: str = ""


_of_thread = threading.local()


class _Wire(BaseAdapter):
    """One request on a connection of its own, under the deadline of the thread's try."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        mine: _Try | None = getattr(_of_thread, "mine", None)
        if mine is None:
            raise requests.ConnectionError("no try is under way on this thread")
        if len(mine.statuses) >= REQUESTS_MAX:
            mine.trouble = "too many requests for one message"
            raise requests.ConnectionError(mine.trouble)
        try:
            return self._exchange(mine, request)
        except Refused as error:
            mine.refused = str(error)
            raise requests.ConnectionError("refused") from None
        except TimeoutError:
            mine.trouble = f"no answer within {DEADLINE_S:.0f} s"
            raise requests.Timeout(mine.trouble) from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            mine.trouble = f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'the connection failed'}"
            raise requests.ConnectionError("failed") from None

    def close(self) -> None:
        """Nothing is kept."""

    def _exchange(self, mine: _Try, request: requests.PreparedRequest) -> requests.Response:
        where = urlsplit(request.url or "")
        secure = where.scheme == "https"
        host = where.hostname or ""
        port = where.port or (443 if secure else 80)
        plain = connect(mine.reach.addresses(host, port, mine.deadline_s), mine.deadline_s)
        peer: Any = plain
        try:
            if secure:
                peer = wrap(mine.context, plain, host, mine.deadline_s)
            talk = http.client.HTTPConnection(host, port)
            talk.sock = peer
            headers = {**dict(request.headers), "Accept-Encoding": "identity", "Connection": "close"}
            headers.pop("Content-Length", None)
            body: Any = request.body
            talk.request(request.method or "POST", request.path_url, body, headers)
            answer = talk.getresponse()
            content = answer.read(ANSWER_MAX)
        finally:
            peer.close()
        mine.statuses.append(answer.status)
        made = requests.Response()
        made.status_code = answer.status
        made.reason = answer.reason
        made.url = request.url or ""
        made.headers = requests.structures.CaseInsensitiveDict(answer.getheaders())
        made.request = request
        made._content = content
        return made


class _Requests:
    """What a plugin takes for the module `requests`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        """One request: no redirect, no proxy or password from the environment, certificates always checked."""
        for ours in ("allow_redirects", "verify", "timeout", "proxies", "cert", "stream"):
            more.pop(ours, None)
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", _Wire())
            session.mount("https://", _Wire())
            return session.request(method, url, allow_redirects=False, **more)

    def get(self, url: str, **more: Any) -> requests.Response:
        return self.request("GET", url, **more)

    def post(self, url: str, **more: Any) -> requests.Response:
        return self.request("POST", url, **more)

    def put(self, url: str, **more: Any) -> requests.Response:
        return self.request("PUT", url, **more)

    def Session(self) -> Any:  # noqa: N802  requests' own name
        raise requests.ConnectionError("a session of its own would know no deadline")


_REQUESTS = _Requests()


class Services:
    """The plugins of these services (schema -> module), and the one way to send through them."""

    def __init__(self, services: Mapping[str, str], reach: Reach, cafile: str | None = None) -> None:
        self._reach = reach
        self._context = tls_context(cafile)
        self._asset = AppriseAsset(app_id="Tocsin", app_desc="Tocsin", app_url="", http_redirects=False,
                                   storage_mode="memory", secure_logging=True)  # fmt: skip
        self._plugins = {schema: _plugin(module, schema) for schema, module in services.items()}

    def send(self, url: str, title: str, text: str) -> Outcome:
        """Hand one message over, within DEADLINE_S."""
        made = self._plugins[url.partition("://")[0].lower()]
        mine = _Try(self._reach, self._context, time.monotonic() + DEADLINE_S)
        try:
            words = made.parse_url(url)
            if not words:
                return Outcome(False, permanent=True, error="the address lacks something that its service needs")
            service = made(**{**words, "asset": self._asset, "verify": True, "redirect": False})
        except (TypeError, ValueError) as error:  # its words may repeat the address
            return Outcome(False, permanent=True, error=f"the service refuses the address ({type(error).__name__})")
        setattr(service, "throttle", lambda *_, **__: None)  # noqa: B010  it would sleep between two requests
        _of_thread.mine = mine
        try:
            sent = bool(service.notify(body=text, title=title, notify_type=NotifyType.WARNING))
        except Exception as error:  # its words may repeat the address
            mine.trouble = mine.trouble or f"the service's plugin failed ({type(error).__name__})"
            sent = False
        finally:
            del _of_thread.mine
        return Outcome(True) if sent else _refusal(mine)


def _refusal(mine: _Try) -> Outcome:
    if mine.refused:
        return Outcome(False, permanent=True, error=mine.refused)
    if mine.trouble:
        return Outcome(False, error=mine.trouble)
    if not mine.statuses:
        return Outcome(False, permanent=True, error="the service's plugin refuses to send this")
    status = mine.statuses[-1]
    if 300 <= status < 400:
        return Outcome(False, permanent=True, error=f"HTTP {status}: redirects are not followed")
    permanent = 400 <= status < 500 and status not in TEMPORARY
    return Outcome(False, permanent=permanent, error=f"HTTP {status}")


def _plugin(module: str, schema: str) -> type[NotifyBase]:
    """The plugin of a service, with our requests in every module of it. Raises ImportError."""
    name = f"apprise.plugins.{module}"
    loaded = importlib.import_module(name)
    package = name.rpartition(".")[0] if "." in module else name
    for each, held in list(sys.modules.items()):
        if (each == package or each.startswith(package + ".")) and getattr(held, "requests", None) is requests:
            held.requests = _REQUESTS  # type: ignore[attr-defined]
    for found in vars(loaded).values():
        if isinstance(found, type) and issubclass(found, NotifyBase) and schema in _schemas(found):
            return found
    raise ImportError(f"Apprise has no plugin for {schema}://")


def _schemas(plugin: type[NotifyBase]) -> set[str]:
    found: set[str] = set()
    for each in (plugin.protocol, plugin.secure_protocol):
        found |= {each} if isinstance(each, str) else set(each or ())
    return found
