"""A page that hears what the server says only when it is let."""

from playwright.sync_api import Page

_HOLDS = """
window.held = null; // while it is a list, what the server says is kept there
window.WebSocket = class extends WebSocket {
  set onmessage(hear) {
    super.onmessage = (said) => (window.held ? window.held.push([hear, said]) : hear(said));
  }
};
window.letGo = () => {
  const all = window.held;
  window.held = null;
  all.forEach(([hear, said]) => hear(said));
};
"""


class Held:
    """Holds back what is said to a page's State. Within the page, `letGo()` has it heard, in order.

    It works from the next load of the page on; with each load nothing is held back any more.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        page.add_init_script(_HOLDS)

    def begin(self) -> None:
        """Hold back what is said from now on."""
        self._page.evaluate("() => { window.held = [] }")

    def wait_for(self, text: str) -> None:
        """Wait until the server has said something with `text` in it."""
        self._page.wait_for_function(
            "text => window.held.some(([, said]) => said.data.includes(text))", arg=text
        )
