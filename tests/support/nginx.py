"""A real nginx in front of a server, configured as the documentation says."""

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
READY = "event method"  # said when it listens

_AROUND = """
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
        port: Where it listens, on the loopback.
    """

    def __init__(self, config: Path, *, port: int) -> None:
        self.port = port
        self._said: list[str] = []
        self._hears = threading.Condition()  # notified at each line, and at the end
        self._process = subprocess.Popen(
            [find(NGINX), "-p", config.parent, "-c", config, "-e", "stderr"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Ends with the process, whose output it reads so that the pipe never fills.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        """What a client connects to."""
        return f"http://127.0.0.1:{self.port}"

    def has_said(self, words: str) -> None:
        """Wait until `words` are in its log."""
        with self._hears:
            self._hears.wait_for(lambda: self._ended or self._knows(words), TIMEOUT)
            assert self._knows(words), f"nginx has not said {words!r}:\n{''.join(self._said)}"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def _ended(self) -> bool:
        return self._process.poll() is not None

    def _knows(self, words: str) -> bool:
        return any(words in line for line in self._said)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._hears:
                self._said.append(line)
                self._hears.notify_all()
        self._process.wait()
        with self._hears:
            self._hears.notify_all()


@contextmanager
def nginx_before(
    port: int, *, listen: int | None = None, instead: Mapping[str, str] | None = None
) -> Iterator[Nginx]:
    """Nginx before the server at `port` of the loopback, until the end of the block.

    Args:
        port: The server's.
        listen: Nginx' own; a free one by default.
        instead: Passages of the documented configuration, and what stands there instead.
    """
    own = listen or free_port()
    site = documented_site()
    places = {"listen 80;": f"listen 127.0.0.1:{own};", "127.0.0.1:3000": f"127.0.0.1:{port}"}
    for old, new in {**(instead or {}), **places}.items():
        assert old in site, f"docs/operations.md has no {old!r} any more"
        site = site.replace(old, new)
    with TemporaryDirectory(prefix="nginx-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(_AROUND.format(folder=folder, site=site))
        nginx = Nginx(config, port=own)
        try:
            nginx.has_said(READY)
            yield nginx
        finally:
            nginx.close()


def documented_site() -> str:
    """What `docs/operations.md` tells people to write into nginx' `http` block."""
    text = (ROOT / "docs" / "operations.md").read_text()
    return text.partition("```nginx\n")[2].partition("```")[0]
