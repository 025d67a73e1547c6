"""A scripted supervisor: logs in and acts through the backend's HTTP API, as a script of the customer's would."""

import http.client
import json
import threading
from typing import Any

TIMEOUT_S = 10.0


class ApiRefused(RuntimeError):
    """The backend answered with an error: its status, its code, its words."""

    def __init__(self, status: int, document: Any) -> None:
        error = document.get("error", {}) if isinstance(document, dict) else {}
        super().__init__(f"{status} {error.get('code', '')}: {error.get('message', document)}")
        self.status = status
        self.document = document


class Supervisor:
    """One person at the API. Any thread; one kept-alive connection each. Logs in when first needed, and again on 401.

    Raises ApiRefused when the backend says no, OSError when there is no backend.
    """

    def __init__(self, port: int, login: str, password: str) -> None:
        self.login = login
        self._port = port
        self._password = password
        self._token = ""
        self._local = threading.local()

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, document: Any = None) -> Any:
        return self.call("POST", path, {} if document is None else document)

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """The JSON that came back (None: an empty answer)."""
        if not self._token:
            self._log_in()
        try:
            return self._exchange(method, path, document)
        except ApiRefused as refused:
            if refused.status != 401:
                raise
        self._log_in()
        return self._exchange(method, path, document)

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _log_in(self) -> None:
        self._token = ""
        opened = self._exchange("POST", "/api/v1/login", {"login": self.login, "password": self._password})
        self._token = str(opened["token"])

    def _exchange(self, method: str, path: str, document: Any) -> Any:
        fresh = getattr(self._local, "connection", None) is None
        try:
            return self._once(method, path, document)
        except (http.client.HTTPException, ConnectionError) as error:
            self.close()
            if fresh:
                raise ConnectionError(str(error) or type(error).__name__) from error
        except OSError:
            self.close()
            raise
        # The backend had closed the kept connection, as it does when it was restarted. Taking or closing an alert twice
        # changes nothing, so that asking again is safe.
        try:
            return self._once(method, path, document)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise ConnectionError(str(error) or type(error).__name__) from error

    def _once(self, method: str, path: str, document: Any) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        body = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        answer = json.loads(content) if content else None
        if response.status >= 300:
            raise ApiRefused(response.status, answer)
        return answer
