"""Holding back what the server sends to a page."""

from playwright.sync_api import Page

_HOLDS = """
window.held = null; // while it is a list, what the server says is kept there
window.WebSocket = class extends WebSocket {
  set onmessage(hear) {
    super.onmessage = (said) => (window.held ? window.held.push([hear, said]) : hear(said));
  }
};
window.deliverHeld = () => {
  const all = window.held;
  window.held = null;
  all.forEach(([hear, said]) => hear(said));
};
"""


class Held:
    """Holds back messages to the page's State; `deliverHeld()` in the page delivers them in order.

    It takes effect with the next load of the page, and each load starts with nothing held back.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        page.add_init_script(_HOLDS)

    def begin(self) -> None:
        """Hold back messages from now on."""
        self._page.evaluate("() => { window.held = [] }")

    def wait_for(self, text: str) -> None:
        """Wait until a message that contains `text` is held back."""
        self._page.wait_for_function(
            "text => window.held.some(([, said]) => said.data.includes(text))", arg=text
        )
