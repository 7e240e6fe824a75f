"""Make the README's picture: an answer that continues across a refresh.

It puts three screenshots of the real application side by side in `docs/refresh.png`. Run it from
the project's folder, after `make test` has provided a Chromium:

    PYTHONPATH=. .venv/bin/python scripts/take_screenshots.py
"""

import base64
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.app_server import AppServer, running
from tests.support.programs import CHROMIUM, find

PICTURE = Path("docs/refresh.png")
PROMPT = "What keeps a bicycle up?"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SIZE = {"width": 420, "height": 830}
LENGTH = "() => [...document.querySelectorAll('[data-testid=answer]')].at(-1)?.rawText?.length ?? 0"

SHEET = """
<style>
  body {{ margin: 0; padding: 20px; display: inline-flex; gap: 20px; background: #fff;
          font: 16px system-ui, sans-serif; color: #3f3f46 }}
  figure {{ margin: 0; width: 420px }}
  img {{ width: 100%; border: 1px solid #d4d4d8; border-radius: 12px; display: block }}
  figcaption {{ padding: 12px 4px 0; text-align: center }}
  b {{ color: #18181b }}
</style>
{figures}
"""
FIGURE = (
    '<figure><img src="data:image/png;base64,{image}"><figcaption>{caption}</figcaption></figure>'
)


def main() -> None:
    """Start the application, take the picture, stop the application."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(AppServer(folder=Path(folder), mode="prod")) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find(CHROMIUM), args=FLAGS)
        PICTURE.write_bytes(side_by_side(browser, three_moments(browser, app)))
        browser.close()


def three_moments(browser: Browser, app: AppServer) -> dict[str, bytes]:
    """Take the screenshots of one answer, by caption."""
    context = browser.new_context(base_url=app.page, viewport=SIZE, device_scale_factor=1.5)
    page = context.new_page()
    page.goto("/")
    page.get_by_test_id("prompt").fill(PROMPT)
    page.get_by_test_id("prompt").press("Enter")
    before = grown(page, to=270)
    moments = {"<b>In the middle</b> of the answer": page.screenshot()}
    page.reload(wait_until="commit")
    now = grown(page, to=before)
    moments["<b>Refreshed</b>: all of it is there, and more"] = page.screenshot()
    grown(page, to=now + 330)
    moments["<b>It goes on</b>, as if nothing had happened"] = page.screenshot()
    context.close()
    return moments


def grown(page: Page, *, to: int) -> int:
    """Wait until the answer has at least `to` characters; return how many it has."""
    page.wait_for_function(f"length => ({LENGTH})() >= length", arg=to)
    return page.evaluate(LENGTH)


def side_by_side(browser: Browser, moments: dict[str, bytes]) -> bytes:
    """Combine the screenshots into one picture."""
    figures = [
        FIGURE.format(image=base64.b64encode(image).decode(), caption=caption)
        for caption, image in moments.items()
    ]
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, device_scale_factor=1.25)
    page.set_content(SHEET.format(figures="".join(figures)))
    return page.locator("body").screenshot()


if __name__ == "__main__":
    main()
