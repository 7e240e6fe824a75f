"""The list of chats, as a person uses it."""

from playwright.sync_api import Locator, Page


class Sidebar:
    """The list, and what a person does with it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.links = page.get_by_test_id("chat-link")

    def line(self, title: str) -> Locator:
        return self.page.get_by_test_id("chat-list").get_by_role("listitem").filter(has_text=title)

    def choose(self, title: str, option: str) -> None:
        """Choose an option from the menu of a chat."""
        line = self.line(title)
        line.hover()
        line.get_by_test_id("chat-options").click()
        self.page.get_by_test_id("chat-menu").get_by_role("menuitem", name=option).click()
