"""SIGTERM, SIGUSR1 and Ctrl-C set a flag, and no more; a second one leaves at once, on the last seal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ptc.runtime.artifacts import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stop:
    """Whether the run has been asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, else 5: interrupted, and the same command goes on."""
        return 130 if self.signal == signal.SIGINT else 5

    def check(self) -> None:
        """Raises `Interrupted` if the run is to stop."""
        if self.signal is not None:
            raise Interrupted

    def request(self, number: int, _frame: FrameType | None = None) -> None:
        """The signal handler."""
        again = self.signal is not None
        self.signal = number
        if again:
            os._exit(self.exit_code)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals inside the block. Python can do so in the main thread only; elsewhere nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.request) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
