"""To any request, the API answers only what its OpenAPI document allows."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from chat_app.api.app import create_api
from tests.support.app_server import AppServer, running
from tests.support.caller import Caller
from tests.support.openai_server import openai_server_in_thread


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server without rate limits whose model answers at once."""
    with openai_server_in_thread() as provider:
        unlimited = {
            "CHAT_MODEL": "openai/test-model",
            "MODEL_API_BASE": provider.base_url,
            "MODEL_API_KEY": "test-key",
            "MAX_PROMPTS_PER_MINUTE": "0",
            "MAX_REQUESTS_PER_MINUTE": "0",
            "MAX_GUESTS_PER_MINUTE": "0",
            "MAX_OPEN_STREAMS": "0",
        }
        folder = tmp_path_factory.mktemp("contract")
        with running(AppServer(folder=folder, settings=unlimited)) as server:
            yield server


@pytest.fixture(scope="module")
def caller(server: AppServer) -> Iterator[Caller]:
    with Caller(server) as caller:
        with caller.send(server, "Hello", chat="holiday", message="q") as answer:
            assert list(answer)
        yield caller


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

document = schemathesis.openapi.from_dict(
    create_api(max_body_bytes=1, allowed_origins=()).openapi()
)


@document.parametrize()
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=SLOW)
def test_every_answer_is_as_documented(case: Case, server: AppServer, caller: Caller) -> None:
    case.call_and_validate(
        base_url=server.api,
        cookies=dict(caller.http.cookies),
        params={"wait": 0},
        # Data of the right types may still be refused: a cursor beyond the end, a blank prompt.
        excluded_checks=[positive_data_acceptance],
    )
