"""Progress of long work: a bar in a terminal or a notebook."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from html import escape
from typing import Any, TextIO

from .errors import ConfigError

WIDTH = 32


class Listener:
    """Receives every progress event. This one shows warnings only."""

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "warning":
            warnings.warn(event["message"], stacklevel=2)
        else:
            self.show(event)

    def show(self, event: dict[str, Any]) -> None:
        """Shows an event other than a warning."""

    def close(self) -> None:
        """Called when the work ends or is interrupted."""


class Callback(Listener):
    """Passes every event to a function."""

    def __init__(self, callback: Callable[[dict[str, Any]], None]) -> None:
        self._callback = callback

    def __call__(self, event: dict[str, Any]) -> None:
        self._callback(event)


class Stage:
    """The current stage of the work, and when it began."""

    def __init__(self) -> None:
        self.name = ""
        self._began = 0.0

    def line(self, event: dict[str, Any]) -> tuple[str, float | None]:
        """The text to show, and the fraction that is done, if it is known."""
        if event["stage"] != self.name or event["event"] == "begin":
            self.name, self._began = event["stage"], time.monotonic()
        done, total, took = event["done"], event["total"], time.monotonic() - self._began
        ended = event["event"] == "end"
        # Training can end early.
        share = None if not total else 1.0 if ended else min(1.0, done / total)
        parts = [f"{done:,}/{total:,} {event['unit']}" if total else f"{done:,} {event['unit']}"]
        if done and took > 1:
            parts.append(f"{done / took:,.1f}/s")
            if share is not None and share < 1:
                parts.append(f"{took / done * (total - done):.0f} s left")
        known = {"event", "stage", "done", "total", "unit", "rate", "seconds_left", "time"}
        parts += [f"{name} {value:.4f}" for name, value in event.items() if name not in known and value is not None]
        return ", ".join(parts), share


class TerminalBar(Listener):
    """One line per stage, rewritten in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = Stage()
        self._open = False

    def show(self, event: dict[str, Any]) -> None:
        if event["event"] == "cost":
            return
        text, share = self._stage.line(event)
        filled = "" if share is None else f"[{'=' * round(WIDTH * share):{WIDTH}}] "
        self._stream.write(f"\r\x1b[2K{self._stage.name:>18} {filled}{text}")
        self._open = event["event"] != "end"
        if not self._open:
            self._stream.write("\n")
        self._stream.flush()

    def close(self) -> None:
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


class NotebookBar(Listener):
    """One bar per stage, in the output of the cell."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._stage = Stage()
        self._handle: Any = None

    def show(self, event: dict[str, Any]) -> None:
        if event["event"] == "cost":
            return
        before = self._stage.name
        text, share = self._stage.line(event)
        value = "" if share is None else f' value="{share:.3f}"'
        bar = Html(f"<code>{escape(self._stage.name)}</code> <progress max='1'{value}></progress> {escape(text)}", text)
        if self._handle is None or before != self._stage.name:
            self._handle = self._display(bar, display_id=True)
        else:
            self._handle.update(bar)
        if event["event"] == "end":
            self._handle, self._stage = None, Stage()


class Html:
    """An object that notebooks show as HTML and everything else as text."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def listener(progress: Any) -> Listener:
    """The listener of a `progress` argument. `"auto"` shows a bar in a terminal or a notebook, `"bar"` always."""
    if callable(progress):
        return Callback(progress)
    if progress in (None, "none"):
        return Listener()
    if progress not in ("auto", "bar"):
        help = "omit it for a bar in a terminal or a notebook"
        raise ConfigError(f'setting progress: expected "auto", "bar", "none" or a function, got {progress!r}; {help}')
    display = _notebook()
    if display is not None:
        return NotebookBar(display)
    return TerminalBar(sys.stderr) if progress == "bar" or sys.stderr.isatty() else Listener()


def _notebook() -> Callable[..., Any] | None:
    """The function `display`, if this runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # noqa: PLC0415

    shown: Callable[..., Any] = display
    return shown
