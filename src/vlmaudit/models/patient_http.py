"""Asks a server over HTTP with patience: paced, retried, bounded, and given up in time.

A request is asked again with exponential back-off and full jitter while its trouble may pass
(connection, time-out, 408, 425, 429, 5xx, an answer that cannot be read). What becomes of it is an
answer or a `Failed` with a reason; only what makes asking on senseless is an error.
"""

import contextlib
import ipaddress
import json
import math
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, NoReturn, TypeVar

import httpx2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_random_exponential,
)

from vlmaudit import __version__
from vlmaudit.errors import InputError, ModelError
from vlmaudit.models.base import Failed

KEY_VARIABLE: Final = "VLMAUDIT_ENDPOINT_KEY"

GAVE_UP: Final = Failed("the endpoint stopped answering", is_transient=True)
"""What becomes of every request once too many in a row came to nothing."""
STOPPED: Final = Failed("stopped before an answer came", is_transient=True)
"""What becomes of every request once `stop` was called."""

# An answer that cannot be read is asked for again, but not as often as one that never came: a
# server that speaks another language will not learn ours.
_READINGS: Final = 3
_TIME_OUT: Final = "time-out"
# Statuses below 500 that may pass: time-out, too early, too many requests.
_PASSING: Final = frozenset({408, 425, 429})

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """How hard a server is asked, and how long it is waited for.

    Attributes:
        concurrency: Requests at the same time, each from its own thread.
        requests_per_second: At most so many are sent, retries included; None sets no limit.
        timeout_s: Seconds that one attempt may take in all, from connecting to the last byte.
        connect_timeout_s: Seconds of these that connecting may take.
        attempts: How often a request is sent before it counts as failed.
        first_wait_s: The longest wait after the first attempt; it doubles with each further one.
        longest_wait_s: No wait is longer, whatever the server asks for.
        most_bytes: A longer answer is not read to its end.
    """

    concurrency: int = 4
    requests_per_second: float | None = None
    timeout_s: float = 60.0
    connect_timeout_s: float = 10.0
    attempts: int = 5
    # Five attempts then span half a minute on average: a server that restarts is outlived.
    first_wait_s: float = 4.0
    longest_wait_s: float = 60.0
    most_bytes: int = 16 * 2**20

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be asked.

        Raises:
            InputError: A setting is zero, negative or no number.
        """
        for name in ("concurrency", "attempts", "most_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} of {getattr(self, name)}: give 1 or more.")
        for name in ("requests_per_second", "timeout_s", "connect_timeout_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} of {value}: give a number above 0.")
        for name in ("first_wait_s", "longest_wait_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} of {value}: give 0 or more.")

    @property
    def give_up_after(self) -> int:
        """So many requests in a row without an answer mean that the server is gone."""
        return max(5, 2 * self.concurrency)


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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: An http or https address.
            refuse: Makes the error that names the model from a reason.
            key: Sent as bearer token; never to another address, never over an open line.
            patience: How hard to ask and how long to wait; None for the defaults.
            clock: Seconds that never run backwards.
            sleep: Waits so many seconds; None waits in a way that `stop` ends.

        Raises:
            ModelError: The address cannot be used, or the key would travel in clear.
        """
        self._patience = patience or Patience()
        self._refuse = refuse
        self._has_key = key is not None
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._pace = _Pace(self._patience.requests_per_second)
        self._lock = threading.RLock()
        self._lines: set[_Line] = set()
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
                f"the key in {KEY_VARIABLE} would travel in clear; use https, or unset the key."
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
        line = _Line()
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
    def _under_way(self, line: "_Line") -> Iterator[None]:
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
        if advice := self._advice(status):
            raise self._refuse(advice)
        raise _UnfitError(f"status {status}")

    def _advice(self, status: int) -> str:
        """What to do about a status that every further request would get too, or nothing."""
        if 300 <= status < 400:
            return (
                f"the server redirects (status {status}), and pictures go nowhere but where you "
                "said; give the address it leads to."
            )
        if status in {401, 403}:
            what = f"does not accept the key in {KEY_VARIABLE}" if self._has_key else "wants a key"
            mend = "set it to" if self._has_key else f"set {KEY_VARIABLE} to"
            return f"the server {what} (status {status}); {mend} one that may ask this model."
        if status == 402:
            return "the server wants to be paid first (status 402); see to the key's account."
        if status in {404, 405, 410}:
            return f"there is nothing to ask at this address (status {status}); check its path."
        if status == 407:
            return "the proxy wants a password (status 407); put it into HTTP_PROXY."
        return ""

    def _raise_what_happened(
        self, problem: httpx2.RequestError, line: "_Line", *, is_half: bool
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


def key_from_environment(refuse: Callable[[str], ModelError]) -> str | None:
    """The key in ``VLMAUDIT_ENDPOINT_KEY``, or None where it is not set.

    Args:
        refuse: Makes the error that names the model from a reason.

    Raises:
        ModelError: It holds what no header can carry.
    """
    # A key that was read from a file brings the end of its line along.
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return None
    # Said here, since a library that meets such a key quotes it.
    if not all("!" <= letter <= "~" for letter in key):
        raise refuse(f"{KEY_VARIABLE} holds a blank, or a letter that no key has; set it again.")
    return key


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as far as its name says.

    >>> [is_loopback(host) for host in ("127.0.0.1", "127.1", "::1", "localhost", "example.org")]
    [True, True, True, True, False]
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    with contextlib.suppress(OSError, ValueError):
        # Short forms, such as 127.1, which the system takes for addresses.
        return ipaddress.ip_address(socket.inet_aton(name)).is_loopback
    return False


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds a server asks to be left alone, or None where it does not say.

    Args:
        headers: Of its response. A date in Retry-After is compared with that in Date, where there
            is one, so that clocks may differ.
        now: Seconds since 1970, used where the response has no date.

    >>> retry_after_s({"Retry-After": "7"}, now=0.0)
    7.0
    >>> retry_after_s({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20.0)
    40.0
    """
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    until = _moment(told)
    if until is None:
        return None
    date = _moment(headers.get("Date", ""))
    return max(0.0, until - (now if date is None else date))


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


class _Pace:
    """Deals out moments to send, none nearer to the last than the rate allows."""

    def __init__(self, requests_per_second: float | None) -> None:
        self._interval_s = 1 / requests_per_second if requests_per_second else 0.0
        self._lock = threading.Lock()
        self._next = -math.inf

    def reserve_s(self, now: float) -> float:
        """Take the next moment; how many seconds it is away."""
        with self._lock:
            moment = max(now, self._next)
            self._next = moment + self._interval_s
        return moment - now

    def hold_until(self, moment: float) -> None:
        """Deal out nothing before a moment."""
        with self._lock:
            self._next = max(self._next, moment)


class _Line:
    """The socket that one request travels over, so that another thread can cut it."""

    def __init__(self) -> None:
        self.was_cut = False
        self._socket: socket.socket | None = None

    def notice(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn of the socket once it is there: the HTTP library's ``trace`` extension."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.was_cut:
                self.cut()

    def cut(self) -> None:
        """Wake whoever reads or writes; closing the socket would not."""
        self.was_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it ended by itself
                # The plain socket's method, since that of TLS takes the session from the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


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


def _moment(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date, or None for anything else."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
