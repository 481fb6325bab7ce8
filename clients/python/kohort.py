"""Client of Kohort, the service that answers which segments a user is in.

One file on the standard library alone: copy it into your project. Python 3.9 or newer.

    from kohort import Kohort

    kohort = Kohort("http://localhost:8000", token)
    kohort.segments_of("ext:ann")              # ['EARLY_ACCESS', 'FREE_SHIPPING'], sorted
    kohort.is_in("ext:ann", "FREE_SHIPPING")   # True

A user is "2" (the service's id) or "ext:ann" (yours). A client may be shared by threads; each keeps a connection of its own.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from typing import Any, Iterator, Mapping, Optional, Sequence
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Kohort", "KohortError", "Unreachable"]

MAX_USERS = 1000
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0
# A proxy may have closed a connection that was idle for longer; a change that meets that cannot be sent again.
IDLE_SECONDS = 20.0
# The service says that it has done nothing.
UNTOUCHED = frozenset({"overloaded", "unavailable", "throttled"})


class KohortError(Exception):
    """The service refused, and says why. Branch on `code`."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: Optional[float]) -> None:
        super().__init__(problem.get("detail") or f"The service answered {status}.")
        self.status = status
        self.code: str = problem.get("code", "unknown")
        self.errors: Sequence[Mapping[str, str]] = problem.get("errors", ())
        self.request_id: Optional[str] = problem.get("request_id")
        #: Seconds, where the service says when to try again.
        self.retry_after = retry_after


class Unreachable(Exception):
    """The service did not answer, or not in time."""


class Kohort:
    """Reads and single changes. `timeout` is in seconds and bounds each try."""

    def __init__(self, url: str, token: Optional[str] = None, *, timeout: float = 10.0, retries: int = 3) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'The address has to begin with http:// or https://, and is "{url}".')
        self._url = url
        self._host = parts.hostname
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._token = token
        self._timeout = timeout
        self._retries = retries
        self._local = threading.local()

    # Reads

    def segments_of(self, user: str, *, at: Optional[str] = None) -> list[str]:
        """The segments a user is in, sorted; with `at` (RFC 3339), those of that moment."""
        return self._call("GET", f"/api/users/{_part(user)}/segments", query={"at": at})["segments"]

    def is_in(self, user: str, slug: str) -> bool:
        """Whether a user is in a segment; nobody is in one that does not exist."""
        return slug in self.segments_of(user)

    def resolve(self, users: Sequence[str], segments: Optional[Sequence[str]] = None) -> list[dict[str, Any]]:
        """The segments of any number of users, in the order asked; `segments` is None for an unknown user."""
        results: list[dict[str, Any]] = []
        for start in range(0, len(users), MAX_USERS):
            body = _named(users=list(users[start : start + MAX_USERS]), segments=segments and list(segments))
            results += self._call("POST", "/api/resolve", body=body, repeatable=True)["results"]
        return results

    def why(self, user: str, slug: str) -> dict[str, Any]:
        """Whether a user is in a segment, and what decided."""
        return self._call("GET", f"/api/users/{_part(user)}/segments/{_part(slug)}")

    def memberships(self, user: str) -> list[dict[str, Any]]:
        """The segments a user is in, with the reason of each."""
        return self._call("GET", f"/api/users/{_part(user)}/memberships")["memberships"]

    def user(self, user: str) -> dict[str, Any]:
        """A user with name and attributes."""
        return self._call("GET", f"/api/users/{_part(user)}")

    def history(self, user: str, *, segment: Optional[str] = None) -> Iterator[dict[str, Any]]:
        """Every change of the user's overrides, newest first, page by page."""
        cursor: Optional[str] = None
        while True:
            query = {"segment": segment, "cursor": cursor}
            page = self._call("GET", f"/api/users/{_part(user)}/history", query=query)
            yield from page["events"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    # Single changes

    def add(self, user: str, slug: str, *, ttl: Optional[int] = None, expires_at: Optional[str] = None) -> None:
        """Put a user into a segment, for good or until a time; an unknown ext: id is registered."""
        self._call("POST", f"/api/users/{_part(user)}/segments", body=_named(slug=slug, ttl=ttl, expires_at=expires_at))

    def remove(self, user: str, slug: str) -> None:
        """Take a user out of a segment."""
        self._call("DELETE", f"/api/users/{_part(user)}/segments/{_part(slug)}")

    def override(
        self, user: str, slug: str, mode: str, *, ttl: Optional[int] = None, expires_at: Optional[str] = None
    ) -> None:
        """Set an override ("include", "exclude") or drop it ("auto")."""
        body = _named(mode=mode, ttl=ttl, expires_at=expires_at)
        self._call("PUT", f"/api/users/{_part(user)}/segments/{_part(slug)}", body=body)

    def change_user(
        self, user: str, *, name: Optional[str] = None, attributes: Optional[Mapping[str, Any]] = None
    ) -> dict[str, Any]:
        """Change the name, or the attributes by merge patch (None clears one); an unknown ext: id is registered."""
        return self._call("PATCH", f"/api/users/{_part(user)}", body=_named(name=name, attributes=attributes))

    def close(self) -> None:
        """Close the connection of this thread."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    # The wire

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Optional[Mapping[str, Optional[str]]] = None,
        body: Optional[Mapping[str, Any]] = None,
        repeatable: bool = False,
    ) -> Any:
        """Try again what failed for a moment, unless it might then happen twice."""
        search = urlencode({name: value for name, value in (query or {}).items() if value is not None})
        target = f"{self._prefix}{path}{'?' + search if search else ''}"
        repeatable = repeatable or method in ("GET", "PUT", "DELETE")
        attempt = 0
        while True:
            try:
                return self._once(method, target, body)
            except KohortError as error:
                is_passing = error.code in UNTOUCHED or (repeatable and error.status in (502, 503, 504))
                if attempt >= self._retries or not is_passing or (error.retry_after or 0) > MAX_PAUSE_SECONDS:
                    raise
                pause = error.retry_after or 0.0
            except Unreachable:
                if attempt >= self._retries or not repeatable:
                    raise
                pause = 0.0
            backoff = min(FIRST_PAUSE_SECONDS * 2**attempt, MAX_PAUSE_SECONDS)
            time.sleep(pause + backoff * random.uniform(0.5, 1.0))
            attempt += 1

    def _once(self, method: str, target: str, body: Optional[Mapping[str, Any]]) -> Any:
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body).encode()
        try:
            response, content = self._exchange(method, target, payload, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"Kohort cannot be reached at {self._url}.") from error
        if response.status >= 400:
            raise KohortError(response.status, _object(content), _seconds(response.getheader("Retry-After")))
        return json.loads(content) if content else None

    def _exchange(
        self, method: str, target: str, payload: Optional[bytes], headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if time.monotonic() - getattr(self._local, "used_at", 0.0) > IDLE_SECONDS:
            self.close()
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect(self._host, self._port, timeout=self._timeout)
            self._local.connection = connection
        connection.request(method, target, body=payload, headers=dict(headers))
        response = connection.getresponse()
        content = response.read()
        self._local.used_at = time.monotonic()
        return response, content


def _part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def _named(**fields: Any) -> dict[str, Any]:
    """What is None is left out."""
    return {name: value for name, value in fields.items() if value is not None}


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(retry_after: Optional[str]) -> Optional[float]:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None
