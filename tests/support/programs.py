"""The programs that tests run beside the app, and where to find them.

They are looked for on PATH first, then in folders that package managers use but do not add to
PATH. A test never skips because one is missing: the error says what to install.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program and its companions, under any of its names.

    Attributes:
        name: What people call it.
        commands: Names of the executable, the preferred one first.
        companions: Executables that must be in the same folder.
        folders: Glob patterns of well-known folders; of several matches the highest version wins.
        debian: Its package in Debian and Ubuntu.
        brew: Its package in Homebrew.
        version_flag: The argument that makes it print its version.
        service: The service that Debian starts on installation and at each boot.
    """

    name: str
    commands: tuple[str, ...]
    companions: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    debian: str
    brew: str
    version_flag: str = "--version"
    service: str = ""


class ProgramMissing(AssertionError):
    """The machine has no such program; the message says how to install it."""

    def __init__(self, program: Program) -> None:
        super().__init__(
            f"{program.name} is needed and was not found. Install it: "
            f"`apt-get install {program.debian}` (Debian, Ubuntu) or "
            f"`brew install {program.brew}` (macOS)."
        )


REDIS_SERVER = Program(
    name="A Redis server",
    commands=("redis-server", "valkey-server"),
    folders=("/opt/homebrew/opt/redis/bin", "/usr/local/opt/redis/bin"),
    debian="redis-server",
    brew="redis",
    service="redis-server",
)

POSTGRES = Program(
    name="The PostgreSQL server",
    commands=("postgres",),
    companions=("initdb",),
    folders=(
        "/usr/lib/postgresql/*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
    ),
    debian="postgresql",
    brew="postgresql@17",
)

CHROMIUM = Program(
    name="Chromium",
    commands=(
        "chrome",
        "chromium",
        "google-chrome",
        "google-chrome-stable",
        "chromium-browser",
        "Chromium",
        "Google Chrome",
        "Google Chrome for Testing",
    ),
    folders=(
        "/Applications/Chromium.app/Contents/MacOS",
        "/Applications/Google Chrome.app/Contents/MacOS",
        # What `playwright install chromium` downloads.
        "~/.cache/ms-playwright/chromium-*/chrome-linux*",
        "~/Library/Caches/ms-playwright/chromium-*/chrome-mac*/*.app/Contents/MacOS",
    ),
    debian="chromium",
    brew="--cask chromium",
)

NGINX = Program(
    name="nginx",
    commands=("nginx",),
    folders=(
        "/usr/sbin",  # Debian's, which is only on root's PATH
        "/opt/homebrew/opt/nginx/bin",
        "/usr/local/opt/nginx/bin",
    ),
    debian="nginx",
    brew="nginx",
    version_flag="-v",
    service="nginx",
)

PROGRAMS = (REDIS_SERVER, POSTGRES, CHROMIUM, NGINX)


def find(program: Program, *, path: str | None = None) -> Path:
    """Return the executable of `program`, after checking that it runs.

    Args:
        program: The program to look for.
        path: Folders to look in first, as in PATH; by default PATH itself.

    Raises:
        ProgramMissing: Neither `path` nor the well-known folders have one that runs.
    """
    folders = [*_path_folders(path), *_well_known_folders(program.folders)]
    for candidate in _candidates(program, folders=folders):
        if _runs(candidate, version_flag=program.version_flag):
            return candidate
    raise ProgramMissing(program)


def _path_folders(path: str | None) -> list[Path]:
    listed = os.get_exec_path() if path is None else path.split(os.pathsep)
    return [Path(folder) for folder in listed if folder]


def _well_known_folders(patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        full = Path(pattern).expanduser()
        matches = Path(full.anchor).glob(str(full.relative_to(full.anchor)))
        yield from sorted(matches, key=_version, reverse=True)


def _version(folder: Path) -> tuple[int, ...]:
    digits = "".join(letter if letter.isdigit() else " " for letter in str(folder))
    return tuple(int(number) for number in digits.split())


def _candidates(program: Program, *, folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        for command in program.commands:
            found = shutil.which(command, path=folder)
            if found and all(shutil.which(other, path=folder) for other in program.companions):
                yield Path(found)


def _runs(executable: Path, *, version_flag: str) -> bool:
    """Whether the executable starts and is usable.

    Ubuntu's `chromium-browser` only prints that the snap must be installed, and a browser from a
    snap cannot read a profile in a temporary folder.
    """
    try:
        result = subprocess.run(
            [executable, version_flag],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and not result.stdout.rstrip().endswith("snap")
