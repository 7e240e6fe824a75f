"""Put uv at `.tools/bin/uv`: the one on PATH if it is new enough, else a pinned one.

Runs on whatever `python3` the machine has (3.8 or later: uv finds or fetches the one the project
needs), and with as little as that: each way is tried when the ways before it have failed.
"""

import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from system_packages import install_with_apt, run

VERSION = "0.13.8"
OLDEST = (0, 9)
TOOLS = Path(".tools")
UV = TOOLS / "bin" / "uv"
TIMEOUT = 30  # seconds without a byte


def main():
    """Leave a working uv at `UV`, or end with one line that says what to install."""
    for way in (from_path, from_venv, from_pip, from_release, from_apt):
        if way() and works(UV):
            return
    sys.exit("uv could not be installed. Install python3-venv (or uv itself) and run make again.")


def from_path():
    """Link the uv that the user has."""
    found = shutil.which("uv")
    return bool(found) and works(found) and put(Path(found))


def from_venv():
    """Make `.tools` a virtual environment; Debian's python3 cannot without python3-venv."""
    sys.stderr.write(f"uv: installing {VERSION} into {TOOLS}\n")
    made = attempt(sys.executable, "-m", "venv", "--clear", str(TOOLS))
    return made and pip(TOOLS / "bin" / "python")


def from_pip():
    """Use a pip that belongs to the system, without touching the system's packages."""
    folder = TOOLS / "pip"
    return pip(sys.executable, "--target", str(folder)) and put(folder.resolve() / "bin" / "uv")


def from_release():
    """Unpack the release's archive; uv's own installer would need curl or wget for that."""
    base = os.environ.get("UV_INSTALLER_GITHUB_BASE_URL", "https://github.com")
    name = f"uv-{target()}"
    url = f"{base}/astral-sh/uv/releases/download/{VERSION}/{name}.tar.gz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            archive = io.BytesIO(answer.read())
        with tarfile.open(fileobj=archive) as files:
            program = files.extractfile(f"{name}/uv").read()
    except (OSError, KeyError, tarfile.TarError) as error:
        sys.stderr.write(f"uv: {url}: {error}\n")
        return False
    UV.parent.mkdir(parents=True, exist_ok=True)
    remove(UV)
    UV.write_bytes(program)
    UV.chmod(0o755)
    return True


def from_apt():
    """Install what makes the first way work, where apt-get needs no password."""
    return install_with_apt("python3-venv") and from_venv()


def pip(python, *options):
    """Whether `python -m pip` has installed the pinned uv; never builds it from source."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return attempt(*command, "--only-binary", ":all:", *options, f"uv=={VERSION}")


def works(program):
    """Whether `program` runs and is a uv new enough to read the lock file."""
    try:
        told = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"uv (\d+)\.(\d+)", told.stdout)
    return version is not None and tuple(map(int, version.groups())) >= OLDEST


def put(program):
    """Make `UV` a link to `program`."""
    UV.parent.mkdir(parents=True, exist_ok=True)
    remove(UV)
    UV.symlink_to(program)
    return True


def remove(path):
    """Remove a file or a link, dangling ones too."""
    if path.is_symlink() or path.exists():
        path.unlink()


def attempt(*command):
    """Run `command`; its failure is worth a line, since another way may still do."""
    done = run(*command)
    if not done:
        sys.stderr.write("uv: that did not work, trying the next way\n")
    return done


def target():
    """This machine in the words of uv's releases."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    system = "apple-darwin" if sys.platform == "darwin" else "unknown-linux-gnu"
    return f"{machine}-{system}"


if __name__ == "__main__":
    main()
