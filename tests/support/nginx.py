"""A real nginx in front of a server, with the documented configuration."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.app_server import ROOT
from tests.support.ports import free_port
from tests.support.programs import NGINX, find

TIMEOUT = 20
READY = "event method"  # logged once it listens

_WRAPPER = """
daemon off;
master_process off;  # one process, as whoever runs the tests
pid {folder}/pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


class Nginx:
    """A running nginx.

    Attributes:
        port: Its loopback port.
    """

    def __init__(self, config: Path, *, port: int) -> None:
        self.port = port
        self._lines: list[str] = []
        self._changed = threading.Condition()  # notified at each line of the log, and at its end
        self._process = subprocess.Popen(
            [find(NGINX), "-p", config.parent, "-c", config, "-e", "stderr"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Drains the process's output so that the pipe never fills; ends with the process.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        """The address that clients connect to."""
        return f"http://127.0.0.1:{self.port}"

    def wait_for_log(self, words: str) -> None:
        """Wait until the log contains `words`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._has_logged(words), TIMEOUT)
            assert self._has_logged(words), (
                f"nginx has not logged {words!r}:\n{''.join(self._lines)}"
            )

    def close(self) -> None:
        """Stop nginx."""
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def _ended(self) -> bool:
        return self._process.poll() is not None

    def _has_logged(self, words: str) -> bool:
        return any(words in line for line in self._lines)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()


@contextmanager
def nginx_in_front_of(
    port: int, *, listen: int | None = None, replacements: Mapping[str, str] | None = None
) -> Iterator[Nginx]:
    """Run nginx in front of the server at loopback port `port` for the length of the block.

    Args:
        port: The server's port.
        listen: The port for nginx; a free one by default.
        replacements: Passages of the documented configuration, each with its replacement.
    """
    own = listen or free_port()
    site = documented_site()
    places = {"listen 80;": f"listen 127.0.0.1:{own};", "127.0.0.1:3000": f"127.0.0.1:{port}"}
    for old, new in {**(replacements or {}), **places}.items():
        assert old in site, f"docs/operations.md has no {old!r} any more"
        site = site.replace(old, new)
    with TemporaryDirectory(prefix="nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(_WRAPPER.format(folder=folder, site=site))
        nginx = Nginx(config, port=own)
        try:
            nginx.wait_for_log(READY)
            yield nginx
        finally:
            nginx.close()


def documented_site() -> str:
    """Return the `http` block contents that `docs/operations.md` gives for nginx."""
    text = (ROOT / "docs" / "operations.md").read_text()
    return text.partition("```nginx\n")[2].partition("```")[0]
