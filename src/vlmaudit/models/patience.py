"""How hard a server is asked: settings, and a pace that all threads keep."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from vlmaudit.errors import InputError


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


class Pace:
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


def _moment(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date, or None for anything else."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
