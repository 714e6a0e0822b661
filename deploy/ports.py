"""A port that stays free between the moment it is chosen and the moment somebody listens on it, as far as that can be had."""

import random
import socket

RANGE = range(12_000, 32_000)
"""Below those that the system gives to outgoing connections (from 32768 on Linux), which any client may take at any time."""
_TRIES = 200


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nothing listens now. Raises `OSError` if none was found."""
    for number in random.SystemRandom().sample(RANGE, _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((host, number))
            except OSError:
                continue
            return number
    raise OSError(f"no free port found on {host}")
