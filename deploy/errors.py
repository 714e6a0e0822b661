"""How the commands end, and the errors that they tell in plain words instead of showing a trace."""

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes of every sub-command of `relais`."""

    DONE = 0
    FAILED = 1
    """It could not be done; the error output says why, and the mend."""
    USAGE = 2
    """Wrong use, or settings that cannot be used."""
    NOT_RUNNING = 3
    """Asked for the state of what does not run, or does not answer."""


class DeployError(Exception):
    """Something a person who runs the bus can mend; the text says how."""

    exit_code: ClassVar[Exit] = Exit.FAILED
