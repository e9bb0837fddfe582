"""Log lines as entries of systemd's journal, with fields of their own, so that they are found by field.

The native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram for each entry, or a sealed file where
a datagram is too small. What reaches this module is masked already; it decides nothing but where a fact goes.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Facts of a line by which people search, and the journal's names for them; all facts are in MESSAGE.
#: ``docs/operations.md`` describes them.
FIELDS = {
    "correlation_id": "CORRELATION_ID",
    "event": "COMPOSER_EVENT",
    "tenant": "COMPOSER_TENANT",
    "tool": "COMPOSER_TOOL",
    "job_id": "COMPOSER_JOB",
    "kind": "COMPOSER_KIND",
    "outcome": "COMPOSER_OUTCOME",
    "attempt": "COMPOSER_ATTEMPT",
    "status": "COMPOSER_STATUS",
    "logger": "COMPOSER_LOGGER",
    "trace_id": "TRACE_ID",
}
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
#: Characters of one field; longer ones are in MESSAGE.
LONGEST_FIELD = 256
#: Characters of one line; an endless traceback says no more than its beginning and its end.
LONGEST_LINE = 256 * 1024
#: How long a line may wait for a journal that takes nothing; the process has better things to do.
WAIT_SECONDS = 0.02
#: After a wait that was in vain, lines are not waited for again for so long.
REST_SECONDS = 1.0
SEND_BUFFER_BYTES = 1024 * 1024
#: What the kernel says of a datagram that is too large for the socket, or for any.
TOO_LARGE = {errno.EMSGSIZE, errno.ENOBUFS}

_REPLACE_BREAKS = str.maketrans("\n\r", "  ")


def connected(stream: int = 2) -> bool:
    """Whether a file descriptor (standard error) leads to the journal; systemd.exec(5) says how to tell."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


class Journal:
    """Sends entries; never raises, and never waits for long."""

    def __init__(self, address: Path) -> None:
        self._address = str(address)
        self._identifier = Path(sys.argv[0]).name or "composer-mcp"
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._lost = 0
        self._no_wait_until = 0.0

    def send(self, message: str, facts: Mapping[str, Any], level: str) -> bool:
        """Send one entry; return whether the journal is responsible for it.

        ``False`` if there is no journal at the address: the caller writes the line elsewhere. A journal that
        is there and takes nothing has had its chance: such a line is lost, and the next one says how many
        were.
        """
        entry = self._entry(message, facts, level)
        with self._lock:
            try:
                channel = self._channel()
                if not self._deliver(channel, entry):
                    self._lost += 1
                    return True
                if self._lost:
                    text = f"{self._lost} lines were lost, because the journal took none"
                    lost = self._entry(text, {"event": "log.lines_lost"}, "warning")
                    if self._deliver(channel, lost):
                        self._lost = 0
            except OSError:
                # It was restarted, or is gone: tried anew with the next line.
                self.close()
                return False
        return True

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _channel(self) -> socket.socket:
        if self._socket is None:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                channel.setblocking(False)
                channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                channel.connect(self._address)
            except OSError:
                channel.close()
                raise
            self._socket = channel
        return self._socket

    def _deliver(self, channel: socket.socket, entry: bytes) -> bool:
        for may_wait in (True, False):
            try:
                channel.send(entry)
            except BlockingIOError:
                if not may_wait or not self._has_room(channel):
                    return False
            except OSError as error:
                if error.errno not in TOO_LARGE:
                    raise
                return self._deliver_as_file(channel, entry)
            else:
                return True
        return False

    def _has_room(self, channel: socket.socket) -> bool:
        """Wait a moment for the journal, unless it was waited for in vain just now."""
        now = time.monotonic()
        if now < self._no_wait_until:
            return False
        poll = select.poll()
        poll.register(channel, select.POLLOUT)
        if poll.poll(WAIT_SECONDS * 1000):
            return True
        self._no_wait_until = now + REST_SECONDS
        return False

    def _deliver_as_file(self, channel: socket.socket, entry: bytes) -> bool:
        """Hand over a file that nobody can change any more, as the protocol has it for large entries."""
        file = os.memfd_create("composer-log", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            view = memoryview(entry)
            while view:
                view = view[os.write(file, view) :]
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
            channel.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True

    def _entry(self, message: str, facts: Mapping[str, Any], level: str) -> bytes:
        if len(message) > LONGEST_LINE:
            half = LONGEST_LINE // 2
            message = f"{message[:half]} … {len(message) - 2 * half} characters left out … {message[-half:]}"
        parts = [f"PRIORITY={PRIORITIES.get(level, 6)}\nSYSLOG_IDENTIFIER={self._identifier}\n"]
        for name, field in FIELDS.items():
            value = facts.get(name)
            if value is not None and value != "":
                # A line break would end the field, and what follows it would be a field of the caller's.
                parts.append(f"{field}={str(value)[:LONGEST_FIELD].translate(_REPLACE_BREAKS)}\n")
        if "\n" not in message:
            parts.append(f"MESSAGE={message}\n")
            return "".join(parts).encode("utf-8", "backslashreplace")
        text = message.encode("utf-8", "backslashreplace")
        head = "".join(parts).encode("utf-8", "backslashreplace")
        return b"".join((head, b"MESSAGE\n", struct.pack("<Q", len(text)), text, b"\n"))
