"""Provide the programs that the tests need: Redis, PostgreSQL, Chromium and nginx.

Programs that the machine has are used as they are. Missing ones are installed where that needs no
password: Chromium by Playwright's download, everything else by the system's package manager, which
also installs Chromium if the download fails. If a program is still missing, the script names it and
exits with status 1.
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

# Debian creates and starts a database cluster when PostgreSQL is installed. The tests start their
# own, so this file keeps the developer from ending up with a server they did not ask for.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/chat-app-tests.conf")


def main() -> int:
    """Provide all programs; return the exit status."""
    if CHROMIUM in missing():
        install_playwright_chromium()
    if absent := missing():
        sys.stderr.write(f"Installing: {', '.join(program.name for program in absent)}\n")
        install(absent)
    for program in (absent := missing()):
        sys.stderr.write(f"{ProgramMissing(program)}\n")
    return 1 if absent else 0


def missing() -> list[Program]:
    """Return the programs that are not installed or do not run."""
    return [program for program in PROGRAMS if not is_there(program)]


def is_there(program: Program) -> bool:
    """Whether the tests would find `program`."""
    try:
        find(program)
    except ProgramMissing:
        return False
    return True


def install_playwright_chromium() -> None:
    """Download the browser that fits Playwright; give up within seconds if it is unreachable."""
    os.environ.setdefault("PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT", "10000")
    playwright = (sys.executable, "-m", "playwright")
    downloaded = run(*playwright, "install", "--no-shell", "chromium")
    if downloaded and not is_there(CHROMIUM) and os.geteuid() == 0:
        run(*playwright, "install-deps", "chromium")


def install(absent: list[Program]) -> None:
    """Install the programs with the system's package manager."""
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
