"""Install packages of the system, where that needs nobody to type a password."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PATIENCE = 900  # seconds; a browser on a slow line


def install_with_apt(*packages):
    """Whether apt-get has installed `packages`; False at once where it is not allowed."""
    root = _become_root()
    if root is None or not shutil.which("apt-get"):
        return False
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    # Where the lists cannot be renewed those at hand may still do.
    run(*quiet, "update")
    return run(*quiet, "install", "--no-install-recommends", *packages)


def install_with_brew(*packages):
    """Whether Homebrew has installed `packages`."""
    return bool(shutil.which("brew")) and run("brew", "install", *packages)


def write_as_root(path, text):
    """Whether `path`, made with its folder if need be, now holds `text`."""
    root = _become_root()
    if root is None or not run(*root, "mkdir", "-p", str(Path(path).parent)):
        return False
    return run(*root, "tee", str(path), stdin=text)


def remove_as_root(path):
    """Whether `path` is gone."""
    root = _become_root()
    return root is not None and run(*root, "rm", "-f", str(path))


def disable_service(name):
    """Whether the service is stopped and stays so; False where services are managed otherwise."""
    root = _become_root()
    if root is None or not shutil.which("systemctl"):
        return False
    return run(*root, "systemctl", "disable", "--now", name)


def run(*command, stdin=""):
    """Whether `command` ended well within `PATIENCE`; what it says goes to standard error."""
    try:
        done = subprocess.run(
            command, input=stdin, text=True, stdout=sys.stderr, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return False
    return done.returncode == 0


def _become_root():
    """The words to put before a command that needs root; None where root is out of reach."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None
