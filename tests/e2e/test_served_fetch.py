"""`/resumable-fetch.js` as the app serves it, for pages of its own origin and of another.

In development mode the page and the API have different origins.
"""

import pytest
from playwright.sync_api import Page

from tests.support.app_server import AppServer
from tests.support.openai_server import OpenAIServer, answer

pytestmark = pytest.mark.parametrize("app", ["prod", "dev"], indirect=True)

ASK_WITH_A_CUT = """async (api) => {
  const { createResumableFetch } = await import("/resumable-fetch.js");
  await fetch(`${api}/api/session`, { method: "POST", credentials: "include" });
  const cursors = [];
  async function cutOnce(input, init) {
    const response = await fetch(input, init);
    cursors.push(new Headers(init.headers).get("last-event-id"));
    if (cursors.length > 1) return response;
    const reader = response.body.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new Response(value.slice(0, value.length / 2), response);
  }
  const message = { id: "m", role: "user", parts: [{ type: "text", text: "Hello?" }] };
  const response = await createResumableFetch({ fetch: cutOnce })(`${api}/api/chat`, {
    method: "POST",
    credentials: "include",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: `c${Date.now()}`, message }),
  });
  return [await response.text(), cursors];
}"""


def test_the_module_is_there_and_resumes_on_every_page(
    page: Page, app: AppServer, model: OpenAIServer
) -> None:
    model.script(answer("Hello ", "there."))
    page.goto("/resumable-fetch.js")  # an otherwise idle page of this origin

    body, cursors = page.evaluate(ASK_WITH_A_CUT, app.api)

    assert body.count('"type":"start"') == 1
    assert body.endswith("data: [DONE]\n\n")
    assert "".join(part.partition('"')[0] for part in body.split('"delta":"')[1:]) == "Hello there."
    assert cursors[0] is None
    assert len(cursors) == 2


def test_the_module_is_served_as_javascript(page: Page) -> None:
    served = page.request.get("/resumable-fetch.js")

    assert served.ok
    assert "javascript" in served.headers["content-type"]
    assert "createResumableFetch" in served.text()
