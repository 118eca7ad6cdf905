"""Asks a server over HTTP with patience: paced, retried, bounded, and given up in time.

A request is asked again with exponential back-off and full jitter while its trouble may pass
(connection, time-out, 408, 425, 429, 5xx, an answer that cannot be read). What becomes of it is an
answer or a `Failed` with a reason; only what makes asking on senseless is an error.
"""

import contextlib
import json
import math
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, NoReturn, TypeVar

import httpx2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_random_exponential,
)

from vlmaudit import __version__
from vlmaudit.errors import ModelError
from vlmaudit.models.base import Failed
from vlmaudit.models.lines import Line, is_loopback
from vlmaudit.models.manners import Manners
from vlmaudit.models.patience import Pace, Patience, retry_after_s

GAVE_UP: Final = Failed("the endpoint stopped answering", is_transient=True)
"""What becomes of every request once too many in a row came to nothing."""
STOPPED: Final = Failed("stopped before an answer came", is_transient=True)
"""What becomes of every request once `stop` was called."""

# An answer that cannot be read is asked for again, but not as often as one that never came: a
# server that speaks another language will not learn ours.
_READINGS: Final = 3
_TIME_OUT: Final = "time-out"
# A refusal that goes on for longer is a page, and says nothing that we could understand.
_LONGEST_REFUSAL: Final = 2**16
# Statuses below 500 that may pass: time-out, too early, too many requests.
_PASSING: Final = frozenset({408, 425, 429})

Answer = TypeVar("Answer")


class UnreadableError(Exception):
    """An answer came that does not say what it should; the message is the recorded reason."""


class PatientClient:
    """Posts JSON to one address and reads JSON answers; may be shared by threads.

    Every request has a connection of its own. On one that is kept open, a server that answers a
    request twice would have its second answer taken for that of the next request, and no check
    of the answer could tell.
    """

    def __init__(
        self,
        url: str,
        *,
        refuse: Callable[[str], ModelError],
        key: str | None = None,
        patience: Patience | None = None,
        manners: Manners | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: An http or https address.
            refuse: Makes the error that names the model from a reason.
            key: Sent as bearer token; never to another address, never over an open line.
            patience: How hard to ask and how long to wait; None for the defaults.
            manners: What to say of its refusals; None speaks of an endpoint.
            clock: Seconds that never run backwards.
            sleep: Waits so many seconds; None waits in a way that `stop` ends.

        Raises:
            ModelError: The address cannot be used, or the key would travel in clear.
        """
        self._patience = patience or Patience()
        self._manners = manners or Manners()
        self._refuse = refuse
        self._has_key = key is not None
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._pace = Pace(self._patience.requests_per_second)
        self._lock = threading.RLock()
        self._lines: set[Line] = set()
        self._unanswered_in_a_row = 0
        self._has_answered = False
        self._jitter = wait_random_exponential(
            multiplier=self._patience.first_wait_s, max=self._patience.longest_wait_s
        )
        try:
            self._url = httpx2.URL(url)
        except httpx2.InvalidURL as problem:
            raise refuse("this is no address that can be asked; check its spelling.") from problem
        is_here = is_loopback(self._url.host)
        if key is not None and self._url.scheme != "https" and not is_here:
            raise refuse(
                f"the key in {self._manners.key_variable} would travel in clear; use https, or "
                "unset the key."
            )
        self._client = self._open(key, is_here=is_here)

    def ask(
        self, body: Mapping[str, object], read: Callable[[object], Answer]
    ) -> "Answer | Failed":
        """Post a body and read what comes back.

        Args:
            body: What to send, as JSON.
            read: Makes the answer from the parsed JSON, or raises `UnreadableError`.

        Returns:
            What `read` returned, or why there is no answer.

        Raises:
            ModelError: Asking on makes no sense: nobody is there, or the address or the key is
                not the right one.
        """
        if self._stopped.is_set():
            return STOPPED
        if self._unanswered_in_a_row >= self._patience.give_up_after:
            return GAVE_UP
        content = json.dumps(body).encode()
        retrying = Retrying(
            retry=retry_if_exception_type(_TroubleError),
            stop=self._is_enough,
            wait=self._wait_s,
            sleep=self._pause,
            reraise=True,
        )
        try:
            answer = retrying(self._attempt, content, read)
        except _StoppedError:
            return STOPPED
        except _TroubleError as trouble:
            with self._lock:
                self._unanswered_in_a_row += 1
            return Failed(trouble.reason, is_transient=True)
        except _UnfitError as problem:
            self._unanswered_in_a_row = 0
            return Failed(str(problem), is_transient=False)
        self._unanswered_in_a_row = 0
        return answer

    def stop(self) -> None:
        """End all waits and all requests under way, from any thread and for good."""
        self._stopped.set()
        with self._lock:
            for line in self._lines:
                line.cut()

    def close(self) -> None:
        """Stop, and let go of everything; may be called again."""
        self.stop()
        self._client.close()

    def _open(self, key: str | None, *, is_here: bool) -> httpx2.Client:
        headers = {
            "Accept": "application/json",
            # What is not compressed cannot swell.
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Type": "application/json",
            "User-Agent": f"vlmaudit/{__version__}",
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        # A proxy is no way to this machine: there it would be another machine's loopback.
        no_proxy = dict.fromkeys(("http://", "https://", "all://")) if is_here else None
        try:
            return httpx2.Client(
                headers=headers,
                # No answer may depend on an earlier one.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
                mounts=no_proxy,
                timeout=httpx2.Timeout(
                    self._patience.timeout_s, connect=self._patience.connect_timeout_s, pool=None
                ),
            )
        except (ValueError, ImportError, httpx2.InvalidURL) as problem:
            raise self._refuse(
                "the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) "
                "cannot be used; write http://HOST:PORT, or name the server in NO_PROXY."
            ) from problem

    # One attempt.

    def _attempt(self, content: bytes, read: Callable[[object], Answer]) -> Answer:
        self._pause(self._pace.reserve_s(self._clock()))
        try:
            return read(_parse(self._exchange(content)))
        except UnreadableError as problem:
            raise _TroubleError(str(problem), attempts=_READINGS) from problem

    def _exchange(self, content: bytes) -> bytes:
        """Send one request, and return the body of an answer that says it is one."""
        line = Line()
        has_begun = False
        body = bytearray()
        with self._under_way(line):
            try:
                with self._client.stream(
                    "POST", self._url, content=content, extensions={"trace": line.notice}
                ) as response:
                    self._has_answered = True
                    self._judge(response)
                    has_begun = True
                    for chunk in response.iter_bytes():
                        body += chunk
                        if len(body) > self._patience.most_bytes:
                            raise UnreadableError("the answer is too long")
            except httpx2.LocalProtocolError:
                raise  # we broke the protocol, which is a bug
            except httpx2.RequestError as problem:
                self._raise_what_happened(problem, line, is_half=has_begun)
        # A line that was cut may look like an answer that ended.
        if line.was_cut:
            raise _StoppedError if self._stopped.is_set() else _TroubleError(_TIME_OUT)
        return bytes(body)

    @contextlib.contextmanager
    def _under_way(self, line: Line) -> Iterator[None]:
        """Cut the line when its time is over or `stop` is called.

        Time-outs of the library hold for one read each; a server that sends a byte now and then
        would never meet them.
        """
        with self._lock:
            self._lines.add(line)
        if self._stopped.is_set():
            line.cut()
        timer = threading.Timer(self._patience.timeout_s, line.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._lines.discard(line)

    def _judge(self, response: httpx2.Response) -> None:
        """Return where the body is the answer; otherwise raise what the status means."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if status in _PASSING or status >= 500:
            wait_s = retry_after_s(response.headers, time.time())
            if wait_s is not None:
                wait_s = min(wait_s, self._patience.longest_wait_s)
                # Whoever else is about to ask would be sent away as well.
                self._pace.hold_until(self._clock() + wait_s)
            raise _TroubleError(f"status {status}", wait_s=wait_s)
        explain = self._manners.explain
        if explain is not None and (reason := explain(status, _said_with(response))):
            raise _UnfitError(reason)
        if advice := self._manners.advice(status, has_key=self._has_key):
            raise self._refuse(advice)
        raise _UnfitError(f"status {status}")

    def _raise_what_happened(
        self, problem: httpx2.RequestError, line: Line, *, is_half: bool
    ) -> NoReturn:
        if self._stopped.is_set():
            raise _StoppedError from problem
        reason = _TIME_OUT if line.was_cut else _what_happened(problem, is_half=is_half)
        is_nobody = isinstance(problem, httpx2.ConnectError | httpx2.ProxyError)
        if is_nobody and not self._has_answered:
            raise self._refuse(
                f"it does not answer ({reason}); check the address, and that the server runs."
            ) from problem
        raise _TroubleError(reason) from problem

    # Between attempts.

    def _is_enough(self, state: RetryCallState) -> bool:
        trouble = _trouble_in(state)
        return state.attempt_number >= min(self._patience.attempts, trouble.attempts)

    def _wait_s(self, state: RetryCallState) -> float:
        """Seconds until the next attempt.

        After a wait that the server chose there is a little jitter, too: all threads were told
        the same.
        """
        told_s = _trouble_in(state).wait_s
        if told_s is None:
            return self._jitter(state)
        spread_s = min(self._patience.first_wait_s, self._patience.longest_wait_s - told_s)
        return told_s + random.uniform(0, spread_s)

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and not self._stopped.is_set():
            self._sleep(seconds)
        if self._stopped.is_set():
            raise _StoppedError


class _TroubleError(Exception):
    """An attempt that failed in a way that may pass."""

    def __init__(
        self, reason: str, *, wait_s: float | None = None, attempts: float = math.inf
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s
        self.attempts = attempts


class _UnfitError(Exception):
    """The server will not answer this one request, however often it is asked."""


class _StoppedError(Exception):
    """`stop` was called."""


def _trouble_in(state: RetryCallState) -> _TroubleError:
    trouble = state.outcome.exception() if state.outcome else None
    assert isinstance(trouble, _TroubleError)
    return trouble


def _what_happened(problem: httpx2.RequestError, *, is_half: bool) -> str:
    """A few words without any address, to be counted."""
    if isinstance(problem, httpx2.TimeoutException):
        return _TIME_OUT
    if isinstance(problem, httpx2.ProxyError):
        return "the proxy does not let it through"
    if isinstance(problem, httpx2.ConnectError):
        return _why_no_connection(problem)
    if isinstance(problem, httpx2.DecodingError):
        return "the answer cannot be unpacked"
    return "half an answer" if is_half else "the connection broke off"


def _why_no_connection(problem: httpx2.ConnectError) -> str:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "the host name leads nowhere"
        if isinstance(cause, ssl.SSLError):
            return "no secure connection comes about"
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _said_with(response: httpx2.Response) -> object:
    """The JSON that came with a refusal, or None where it is long or something else."""
    body = bytearray()
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LONGEST_REFUSAL:
                return None
        return _parse(bytes(body))
    except (httpx2.RequestError, UnreadableError):
        return None


def _parse(body: bytes) -> object:
    """JSON from bytes.

    Raises:
        UnreadableError: It is something else; the reason says what, as far as one can see.
    """
    text = body.strip()
    if not text:
        raise UnreadableError("an empty answer")
    try:
        return json.loads(text)
    # Nested without end, it exhausts the stack.
    except (ValueError, RecursionError) as problem:
        is_page = text.startswith(b"<")
        what = "a web page instead of an answer" if is_page else "the answer is no JSON"
        raise UnreadableError(what) from problem
