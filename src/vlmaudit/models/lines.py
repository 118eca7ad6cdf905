"""Where requests go: addresses, the key that opens them, and connections that can be cut."""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from vlmaudit.errors import ModelError

KEY_VARIABLE: Final = "VLMAUDIT_ENDPOINT_KEY"


def key_from_environment(
    refuse: Callable[[str], ModelError], variable: str = KEY_VARIABLE
) -> str | None:
    """The key in an environment variable, or None where it is not set.

    Args:
        refuse: Makes the error that names the model from a reason.
        variable: Where the key is.

    Raises:
        ModelError: It holds what no header can carry.
    """
    # A key that was read from a file brings the end of its line along.
    key = os.environ.get(variable, "").strip()
    if not key:
        return None
    # Said here, since a library that meets such a key quotes it.
    if not all("!" <= letter <= "~" for letter in key):
        raise refuse(f"{variable} holds a blank, or a letter that no key has; set it again.")
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


class Line:
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
