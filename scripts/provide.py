"""Provide the programs that the tests need: Redis, PostgreSQL, Chromium and nginx.

What the machine has is used as it is. What it lacks is installed where that needs no password:
Chromium by Playwright's own download, anything else, and Chromium where that download cannot be
reached, by the system's package manager. What is still missing is named, and the exit status is 1.
"""

import os
import sys
from pathlib import Path

from system_packages import (
    disable_service,
    install_with_apt,
    install_with_brew,
    remove_as_root,
    run,
    write_as_root,
)
from tests.support.programs import CHROMIUM, POSTGRES, PROGRAMS, Program, ProgramMissing, find

# Debian starts what serves when it is installed, and makes a database to serve; the tests start
# their own, so nobody should find one running that they did not ask for.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/chat-app-tests.conf")


def main() -> int:
    """Provide all; the exit status."""
    if CHROMIUM in missing():
        install_playwright_chromium()
    if absent := missing():
        sys.stderr.write(f"Installing: {', '.join(program.name for program in absent)}\n")
        install(absent)
    for program in (absent := missing()):
        sys.stderr.write(f"{ProgramMissing(program)}\n")
    return 1 if absent else 0


def missing() -> list[Program]:
    """The programs that are not there, or do not run."""
    return [program for program in PROGRAMS if not is_there(program)]


def is_there(program: Program) -> bool:
    """Whether a test would find `program`."""
    try:
        find(program)
    except ProgramMissing:
        return False
    return True


def install_playwright_chromium() -> None:
    """Download the browser that fits Playwright; unreachable, it gives up within seconds."""
    os.environ.setdefault("PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT", "10000")
    playwright = (sys.executable, "-m", "playwright")
    downloaded = run(*playwright, "install", "--no-shell", "chromium")
    if downloaded and not is_there(CHROMIUM) and os.geteuid() == 0:
        run(*playwright, "install-deps", "chromium")


def install(absent: list[Program]) -> None:
    """Ask the system's package manager."""
    if sys.platform == "darwin":
        for program in absent:
            install_with_brew(*program.brew.split())
        return
    quiet_cluster = POSTGRES in absent and not NO_CLUSTER.exists()
    if quiet_cluster:
        write_as_root(NO_CLUSTER, "create_main_cluster = false\n")
    try:
        install_with_apt(*(program.debian for program in absent))
    finally:
        if quiet_cluster:
            remove_as_root(NO_CLUSTER)
    for program in absent:
        if program.service and is_there(program):
            disable_service(program.service)


if __name__ == "__main__":
    sys.exit(main())
