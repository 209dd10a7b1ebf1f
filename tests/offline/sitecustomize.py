"""No connection to another machine: every Python that the tests start imports this first.

What edgespec does on the network must have been asked for, and the tests ask for none but this
machine's own. Native code is beyond it; `unshare --net` around the tests covers that as well.
"""

import os
import socket
from ipaddress import ip_address
from typing import Any

attempts: list[object] = []
"""What was tried to reach, by this process."""

_RESERVED = (".invalid", ".test", ".example")
"""Endings of names that exist nowhere: to look them up asks nobody that could know."""

_connect, _connect_ex, _sendto = (
    socket.socket.connect,
    socket.socket.connect_ex,
    socket.socket.sendto,
)
_getaddrinfo = socket.getaddrinfo


def _is_here(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    if text in (None, "", "localhost"):
        return True
    try:
        address = ip_address(str(text))
    except ValueError:
        return False
    to_many = address.is_multicast or address.is_reserved
    return address.is_loopback or (not to_many and _is_own(str(address), address.version))


def _is_own(address: str, version: int) -> bool:
    """True for the addresses of this machine's network cards, which only it can listen at."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _require_here(host: object) -> None:
    if not _is_here(host):
        attempts.append(host)
        os.write(2, f"NETWORK: {host!r}\n".encode())
        raise OSError(f"the tests may not reach {host!r}")


def _checked(call: Any) -> Any:
    """`call`, a method of sockets whose last argument is an address, for addresses here."""

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_here(arguments[-1][0])
        return call(self, *arguments)

    return guarded


def _look_up(host: Any, *arguments: Any, **more: Any) -> Any:
    if str(host).endswith(_RESERVED):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    _require_here(host)
    return _getaddrinfo(host, *arguments, **more)


def install() -> None:
    """Begin to refuse."""
    changed: Any = socket
    changed.socket.connect = _checked(_connect)
    changed.socket.connect_ex = _checked(_connect_ex)
    changed.socket.sendto = _checked(_sendto)
    changed.getaddrinfo = _look_up


install()
