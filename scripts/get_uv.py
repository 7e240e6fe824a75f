"""Put uv at `.tools/bin/uv`: the one on PATH if it is new enough, otherwise a pinned version.

It runs on any `python3` from 3.8 on (uv finds or fetches the Python the project needs) and needs
nothing else: each way to get uv is tried when those before it have failed.
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
    """Provide a working uv at `UV`, or exit with one line that says what to install."""
    for way in (from_path, from_venv, from_pip, from_release, from_apt):
        if way() and works(UV):
            return
    sys.exit("uv could not be installed. Install python3-venv (or uv itself) and run make again.")


def from_path():
    """Link the user's own uv."""
    found = shutil.which("uv")
    return bool(found) and works(found) and put(Path(found))


def from_venv():
    """Install into a virtual environment at `.tools`; on Debian this needs python3-venv."""
    sys.stderr.write(f"uv: installing {VERSION} into {TOOLS}\n")
    made = attempt(sys.executable, "-m", "venv", "--clear", str(TOOLS))
    return made and pip(TOOLS / "bin" / "python")


def from_pip():
    """Install with the system's pip, without touching the system's packages."""
    folder = TOOLS / "pip"
    return pip(sys.executable, "--target", str(folder)) and put(folder.resolve() / "bin" / "uv")


def from_release():
    """Unpack the release archive; uv's own installer would need curl or wget."""
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
    """Install python3-venv, where apt-get needs no password, and use it."""
    return install_with_apt("python3-venv") and from_venv()


def pip(python, *options):
    """Install the pinned uv with `python -m pip`, never from source; return whether it worked."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return attempt(*command, "--only-binary", ":all:", *options, f"uv=={VERSION}")


def works(program):
    """Whether `program` runs and is a uv that is new enough to read the lock file."""
    try:
        result = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"uv (\d+)\.(\d+)", result.stdout)
    return version is not None and tuple(map(int, version.groups())) >= OLDEST


def put(program):
    """Make `UV` a link to `program`."""
    UV.parent.mkdir(parents=True, exist_ok=True)
    remove(UV)
    UV.symlink_to(program)
    return True


def remove(path):
    """Remove a file or a link, even a dangling one."""
    if path.is_symlink() or path.exists():
        path.unlink()


def attempt(*command):
    """Run `command`; report a failure in one line, because another way may still work."""
    done = run(*command)
    if not done:
        sys.stderr.write("uv: that did not work, trying the next way\n")
    return done


def target():
    """Return the name of this platform in uv's releases."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    system = "apple-darwin" if sys.platform == "darwin" else "unknown-linux-gnu"
    return f"{machine}-{system}"


if __name__ == "__main__":
    main()
