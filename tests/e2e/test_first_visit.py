"""How a new browser gets a session, and what it shows if it cannot."""

import pytest
from playwright.sync_api import Page, Route, expect

SESSION = "**/api/session"


@pytest.mark.parametrize("app", ["prod", "dev"], indirect=True)
def test_a_refresh_while_the_session_is_opened_opens_another(page: Page) -> None:
    held: list[Route] = []
    page.route(SESSION, lambda route: held.append(route), times=1)
    with page.expect_request(SESSION):
        page.goto("/")

    page.reload()

    expect(page.get_by_test_id("prompt")).to_be_enabled()
    expect(page.get_by_test_id("session-refused")).to_have_count(0)
    assert held


def test_a_browser_that_keeps_no_cookie_is_told_so(page: Page) -> None:
    asked: list[Route] = []

    def without_cookie(route: Route) -> None:
        asked.append(route)
        route.fulfill(status=204)

    page.route(SESSION, without_cookie)
    page.goto("/")

    expect(page.get_by_test_id("session-refused")).to_contain_text("needs a cookie")
    assert len(asked) == 1


def test_a_server_that_opens_no_session_is_asked_again_by_a_refresh(page: Page) -> None:
    page.route(SESSION, lambda route: route.fulfill(status=503), times=1)
    page.goto("/")
    expect(page.get_by_test_id("session-refused")).to_contain_text("could not start a session")

    page.reload()

    expect(page.get_by_test_id("prompt")).to_be_enabled()
    expect(page.get_by_test_id("session-refused")).to_have_count(0)
