"""Which addresses a channel may call (S17), and names that are looked up within a deadline.

A name is resolved once and that address is connected to; private, loopback and link-local addresses are refused unless
a setting names their network.
"""

import ipaddress
import socket
import threading
from collections.abc import Sequence
from typing import Any

from .deadline import left_s

# IPv6 networks whose last 32 bits are an IPv4 address: NAT64, IPv4-compatible.
EMBEDDING_LAST = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
# Inside, and yet global to Python 3.11: site-local (RFC 3879), NAT64 of one's own (RFC 8215), SIIT (RFC 7915), segment
# routing (RFC 9602), documentation (RFC 9637), 6to4 relays (RFC 7526).
INSIDE = tuple(
    ipaddress.ip_network(each)
    for each in ("fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96", "5f00::/16", "3fff::/20", "192.88.99.0/24")
)
LOOKUPS_MAX = 64  # that hang at once in the whole process: a resolver gives up by itself, after 30 s and more

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Found = list[tuple[Any, ...]]  # (family, address) of each

_lookups = threading.BoundedSemaphore(LOOKUPS_MAX)


class Refused(Exception):
    """This address will never do."""


def resolve(name: str, port: int, deadline_s: float) -> Found:
    """(family, address) of a name, within the deadline. Raises OSError (TimeoutError among them), UnicodeError.

    The C library's own look-up knows no deadline: it runs on a thread that is left behind when time is up.
    """
    places = _lookups
    if not places.acquire(blocking=False):
        raise TimeoutError("too many names are being looked up")
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except Exception as error:
            found.append(error)
        finally:
            places.release()

    worker = threading.Thread(target=look_up, name="tocsin-lookup", daemon=True)
    try:
        worker.start()
    except RuntimeError as error:
        places.release()
        raise OSError(f"no thread for a look-up: {error}") from None
    worker.join(left_s(deadline_s))
    if not found:
        raise TimeoutError("the name was not found within the deadline")
    if isinstance(found[0], Exception):
        raise found[0]
    return [(family, address) for family, _, _, _, address in found[0]]


class Reach:
    """`allowed`: networks that are not global and yet may be called."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def addresses(self, name: str, port: int, deadline_s: float) -> Found:
        """(family, address) of this name that may be called. Raises Refused when there are only others, OSError."""
        good = [each for each in resolve(name, port, deadline_s) if self.may_call(str(each[1][0]))]
        if not good:
            raise Refused(f"{name} is not a public address (TOCSIN_WEBHOOK_PRIVATE_NETWORKS can allow it)")
        return good

    def may_call(self, text: str) -> bool:
        """Whether this address, as text, is global or allowed."""
        address = _reached(ipaddress.ip_address(text.partition("%")[0]))
        inside = not address.is_global or address.is_multicast or any(address in each for each in INSIDE)
        return not inside or any(address in each for each in self._allowed)


def _reached(address: Address) -> Address:
    """Where a packet to this address may end: the IPv4 address that an IPv6 one carries inside, or itself."""
    if isinstance(address, ipaddress.IPv6Address):
        bits = int(address)
        if address.ipv4_mapped is not None or any(address in each for each in EMBEDDING_LAST):
            return ipaddress.IPv4Address(bits & 0xFFFF_FFFF) if bits > 1 else address  # :: and ::1 carry none
        return address.sixtofour or address
    return address
