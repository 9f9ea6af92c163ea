"""A polite request to end is an exception, so that every host in use is taken down first."""

import signal
import sys
from types import FrameType


def terminate_in_order() -> None:
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
