"""The log's keys and outcomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.streams.keys import Keys
from chat_app.streams.model import Outcome, OutcomeKind, StreamId


def test_the_keys_of_a_stream_are_in_one_slot_of_a_cluster() -> None:
    keys = Keys.of(StreamId("17"), prefix="chat")

    tags = {key[key.index("{") : key.index("}") + 1] for key in (keys.state, keys.log)}
    assert tags == {"{17}"}
    assert keys.state != keys.log


def test_streams_and_applications_share_no_key() -> None:
    made = [
        key
        for prefix in ("chat", "other")
        for stream_id in ("1", "11")
        for keys in [Keys.of(StreamId(stream_id), prefix=prefix)]
        for key in (keys.state, keys.log)
    ]

    assert len(set(made)) == len(made)
    assert {key.partition(":")[0] for key in made} == {"chat", "other"}


@pytest.mark.parametrize("kind", ["completed", "stopped", "failed", "interrupted"])
def test_an_outcome_is_read_as_it_was_written(kind: OutcomeKind) -> None:
    outcome = Outcome(kind=kind)

    assert str(outcome) == kind
    assert Outcome.parse(str(outcome)) == outcome


@given(code=st.from_regex(r"[a-z_]+", fullmatch=True))
def test_a_failure_keeps_its_code(code: str) -> None:
    outcome = Outcome(kind="failed", code=code)

    assert Outcome.parse(str(outcome)) == outcome
