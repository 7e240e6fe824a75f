"""What processes cost: CPU time and memory, and what Redis counts."""

import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil


def tree(pid: int) -> list[int]:
    """Return the id of a process and those of all its descendants."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of the processes: all threads, user and system (/proc/<pid>/stat)."""
    total = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of the processes."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


def machine_busy_seconds() -> float:
    """Return the CPU time of all processes on the machine."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def redis_counters(port: int) -> tuple[int, int, dict[str, int]]:
    """Return what a Redis server has counted: commands, socket reads, calls by command.

    Commands that scripts run are counted as well. INFO is not.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"INFO everything\r\n")
        reply = connection.makefile("rb")
        text = reply.read(int(reply.readline()[1:])).decode()
    fields = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
    calls = {
        name.removeprefix("cmdstat_"): int(value.split(",")[0].removeprefix("calls="))
        for name, value in fields.items()
        if name.startswith("cmdstat_") and name != "cmdstat_info"
    }
    return sum(calls.values()), int(fields["total_reads_processed"]), calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The counters at one moment."""

    at: int
    delivered: int
    server: float
    redis: float
    load: float
    machine: float
    commands: int
    reads: int
    calls: dict[str, int]

    @classmethod
    def now(
        cls, *, delivered: int, server: Iterable[int], redis: Iterable[int], redis_port: int
    ) -> "Usage":
        """Read all counters."""
        commands, reads, calls = redis_counters(redis_port)
        return cls(
            at=time.monotonic_ns() // 1000,
            delivered=delivered,
            server=cpu_seconds(server),
            redis=cpu_seconds(redis),
            load=cpu_seconds([os.getpid()]),
            machine=machine_busy_seconds(),
            commands=commands,
            reads=reads,
            calls=calls,
        )
