"""What an exchange waits for."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """What an exchange waits for."""

    CHECKING = 1
    DELAYED = 2
    READY = 3
    """To be forwarded, as soon as the event at hand has been handled."""
    LEASING = 4
    """For a new connection to an upstream."""
    FORWARDING = 5
    """The upstream has the request, or is getting it; its response may have begun."""
    RELAYING = 6
    """Upgraded: bytes pass both ways."""
    OVER = 7
    HOLDING = 8
    """For more of the request's body, before an upstream is asked for."""
    SENDING = 9
    """For the client to take what it has not of a response that is whole; the upstream has been released."""
    ALTERING = 10
    """The site has answered: for the answer to be masked, or for its time; the upstream has been released."""
