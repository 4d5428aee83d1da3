"""Messages that scripts/soak.py sends to `catalex serve`: malformed ones, and requests whose answers are not read."""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PATIENCE = 20.0
# Maximum memory of a server whose answers are not read.
MAX_RESIDENT = 1 << 30

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(tool: str, arguments: Any, number: Any = 7) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


MESSAGES: list[Any] = [
    call("expand_prefix", {"prefix": "<a_1>"}),
    call("expand_prefix", {"prefix": "<a_99999999999999999999>", "limit": 1}),
    call("expand_prefix", {"prefix": "", "limit": -1}),
    call("expand_prefix", {"prefix": 3}),
    call("expand_prefix", ["<a_1>"]),
    call("similar_items", {"item_id": "0" * 100_000}),
    call("similar_items", {"item_id": "5", "limit": 10**30}),
    call("id_by_item", {"item_id": "\ud800"}),
    call("id_by_item", {"item_id": "\x1b[2J\n\r"}),
    call("item_by_id", {"semantic_id": "<a_0>" * 10_000}),
    call("search_items", {"query": "pen " * 100_000}),
    call("no_such_tool", {}),
    call("expand_prefix", None, number=None),
    call("expand_prefix", {"prefix": ""}, number={"a": 1}),
    call("expand_prefix", {"prefix": ""}, number="x" * 100_000),
    call("expand_prefix", {"prefix": ""}, number=1.5),
    {"jsonrpc": "2.0", "id": 8, "method": "tools/call"},
    {"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": []},
    {"jsonrpc": "1.0", "id": 8, "method": "tools/list"},
    {"id": 8, "method": "tools/list"},
    {"jsonrpc": "2.0", "id": 8, "method": 3},
    {"jsonrpc": "2.0", "id": 8, "method": "no/such/method"},
    {"jsonrpc": "2.0", "id": 8, "method": "initialize", "params": {}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 8}},
    {"jsonrpc": "2.0", "id": 8, "result": {}},
    {"jsonrpc": "2.0", "id": 8, "error": {"code": "x", "message": 1}},
    [],
    [call("expand_prefix", {"prefix": ""})],
    {},
    None,
    3,
    "text",
]
RAW = [
    b"",
    b"\n",
    b"{",
    b"}" * 1000,
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b"\x00\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"Content-Length: 5\r\n\r\nhello",
    b'{"jsonrpc":"2.0","id":8,"method":"tools/list","method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 1000 + b',"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":8,"method":"\\ud800"}',
    b"x" * 5_000_000,
]


class Client:
    """A server and the lines that it writes."""

    def __init__(self, program: str, index: Path, *, reads: bool = True) -> None:
        self.process = subprocess.Popen(
            [program, "serve", "--stdio", str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        if reads:
            self.reader.start()

    def send(self, message: Any) -> bool:
        raw = message if isinstance(message, bytes) else json.dumps(message).encode("utf-8")
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(raw + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            return False
        return True

    def answers(self, number: int) -> bool:
        """Whether the request with this id is answered in time."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                return False
            if line == b"":
                return False
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict) and answer.get("id") == number:
                return True
        return False

    def begin(self) -> bool:
        return self.send(INITIALIZE) and self.answers(1) and self.send(INITIALIZED)

    def resident(self) -> int:
        try:
            fields = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()
            return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(b"")


def damaged(source: random.Random) -> bytes:
    """A valid message with some changed bytes."""
    raw = bytearray(json.dumps(source.choice(MESSAGES[:12])).encode("utf-8")[:10_000])
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(raw))
        raw[at : at + source.randint(0, 3)] = source.randbytes(source.randint(0, 3)).replace(b"\n", b" ")
        if not raw:
            raw = bytearray(b"{")
    return bytes(raw)


def malformed(program: str, index: Path, source: random.Random, seconds: float) -> tuple[int, list[str]]:
    """Sends malformed messages before and after the start of a session. The next valid request must be answered."""
    sent, faults = 0, []
    until = time.monotonic() + seconds
    kinds: list[Any] = [*MESSAGES, *RAW]
    for message in kinds:
        client = Client(program, index)
        client.send(message)
        sent += 1
        if not client.begin():
            faults.append(f"no session after {shortened(message)} before initialisation")
        client.end()
    client = Client(program, index)
    client.begin()
    number = 100
    while time.monotonic() < until or number < 100 + len(kinds):
        message = kinds[number - 100] if number < 100 + len(kinds) else damaged(source)
        number += 1
        sent += 1
        client.send(message)
        if not (client.send(call("expand_prefix", {"prefix": ""}, number)) and client.answers(number)):
            faults.append(f"no answer after {shortened(message)}")
            client.end()
            client = Client(program, index)
            client.begin()
    client.end()
    return sent, faults


def unread(program: str, index: Path, seconds: float) -> tuple[int, list[str]]:
    """Sends requests without reading answers: the server's memory must stay bounded, and it must answer later."""
    client = Client(program, index, reads=False)
    counter = {"sent": 0}

    def write() -> None:
        client.send(INITIALIZE)
        client.send(INITIALIZED)
        while client.send(call("expand_prefix", {"prefix": "", "limit": 50}, counter["sent"] + 1000)):
            counter["sent"] += 1

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until and client.process.poll() is None:
        most = max(most, client.resident())
        time.sleep(0.1)
    faults = []
    if most > MAX_RESIDENT:
        faults.append(f"the server held {most / 1e6:.0f} MB for a client that does not read")
    if client.process.poll() is not None:
        faults.append(f"the server ended with {client.process.returncode} because its client did not read")
    else:
        client.reader.start()
        if not client.answers(1000):
            faults.append("no answer after a client that did not read began to")
    client.end()
    return counter["sent"], faults


def shortened(message: Any) -> str:
    text = repr(message)
    return text if len(text) <= 100 else f"{text[:100]}... ({len(text)} characters)"
