"""The machine and the program versions of a run, and whether the machine is quiet."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.children import PEER
from bench.proc import machine_busy_seconds
from tests.support.npm import NODE
from tests.support.programs import REDIS_SERVER, find

QUIET = 0.05
"""Share of the machine that other programs may use without disturbing a measurement."""

_LOOK = 1.0  # seconds


def describe() -> dict[str, str]:
    """Describe what the figures depend on."""
    lock = (PEER / "package.json").read_text()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, granian {version('granian')}, "
        f"uvloop {version('uvloop')}, "
        f"redis-py {version('redis')}, hiredis {version('hiredis')}",
        "Node": f"{_version_of(NODE)}, resumable-stream {_pinned(lock, 'resumable-stream')}, "
        f"redis {_pinned(lock, 'redis')}",
        "Redis": _version_of(find(REDIS_SERVER)).partition("v=")[2].split()[0],
    }


def wait_until_quiet(*, seconds: float, tick: Callable[[], None]) -> None:
    """Wait until other programs leave the machine alone, `seconds` at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tick()
        before = machine_busy_seconds()
        time.sleep(_LOOK)
        if (machine_busy_seconds() - before) / _LOOK / (os.cpu_count() or 1) < QUIET:
            return


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version_of(program: Path) -> str:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def _pinned(package: str, name: str) -> str:
    return package.partition(f'"{name}": "')[2].partition('"')[0]
