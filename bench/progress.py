"""The progress of a run, on one line of the terminal."""

import sys
import time

_CELLS = 24


class Progress:
    """A progress bar; without a terminal, one line per measurement."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._label = ""
        self._begun = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def begin(self, label: str) -> None:
        """Start the next measurement."""
        self._label = label
        if self._terminal:
            self.tick()
        else:
            print(f"[{self._done + 1}/{self._total}] {label}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Count the current measurement as done."""
        self._done += 1

    def tick(self) -> None:
        """Redraw the bar with the time elapsed."""
        if not self._terminal:
            return
        full = _CELLS * self._done // self._total
        spent = time.monotonic() - self._begun
        left = (
            f", {_clock(spent / self._done * (self._total - self._done))} left"
            if self._done
            else ""
        )
        line = (
            f"[{'█' * full}{'·' * (_CELLS - full)}] {self._done}/{self._total} "
            f"{_clock(spent)}{left} · {self._label}"
        )
        print(f"\r{line[:110]}\x1b[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Clear the bar's line."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
