"""Install system packages, where that needs no password.

Each function returns whether it succeeded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PATIENCE = 900  # seconds; enough for a browser over a slow connection


def install_with_apt(*packages):
    """Install `packages` with apt-get; fail at once where root is out of reach."""
    root = _become_root()
    if root is None or not shutil.which("apt-get"):
        return False
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    # If the package lists cannot be updated, the old ones may still do.
    run(*quiet, "update")
    return run(*quiet, "install", "--no-install-recommends", *packages)


def install_with_brew(*packages):
    """Install `packages` with Homebrew."""
    return bool(shutil.which("brew")) and run("brew", "install", *packages)


def write_as_root(path, text):
    """Write `text` to `path`, creating its folder if needed."""
    root = _become_root()
    if root is None or not run(*root, "mkdir", "-p", str(Path(path).parent)):
        return False
    return run(*root, "tee", str(path), stdin=text)


def remove_as_root(path):
    """Remove `path` if it exists."""
    root = _become_root()
    return root is not None and run(*root, "rm", "-f", str(path))


def disable_service(name):
    """Stop the service and keep it stopped; fail where systemd does not manage services."""
    root = _become_root()
    if root is None or not shutil.which("systemctl"):
        return False
    return run(*root, "systemctl", "disable", "--now", name)


def run(*command, stdin=""):
    """Run `command` within `PATIENCE`; its output goes to standard error."""
    try:
        done = subprocess.run(
            command, input=stdin, text=True, stdout=sys.stderr, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return False
    return done.returncode == 0


def _become_root():
    """Return the words to put before a command that needs root; None where root is out of reach."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None
