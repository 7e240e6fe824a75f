"""Settings: where they come from, how bad ones are refused, and how they are summarized."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat_app.config import Settings, load_settings
from chat_app.errors import InvalidSettings

WRONG = {
    "REDIS_URL": ["http://localhost", "localhost:6379", ""],
    "DATABASE_URL": ["mysql://localhost/chat", "chat.db", ""],
    "CHAT_MODEL": [""],
    "MAX_GENERATIONS": ["0", "-1", "many", "1.5"],
    "MAX_PROMPT_CHARS": ["0", "all"],
    "MAX_REQUEST_BYTES": ["0"],
    "CONNECTION_LIFETIME": ["-1", "long"],
    "MAX_OPEN_STREAMS": ["-1", "some"],
    "MAX_VIEWERS": ["-1", "some"],
    "REDELIVERY_TIMEOUT": ["0.5", "0", "soon"],
    "CHECKPOINT_INTERVAL": ["0", "-1", "now"],
    "LOG_PREFIX": ["", "a b", "{a}"],
    "LOG_TTL": ["0", "-PT1S", "PT", "nan", "inf", "1e300"],
    "STORE_TIMEOUT": ["", "5 parsecs"],
    "SESSION_COOKIE": ["", "a b", "a;b", "a=b"],
    "SECURE_COOKIES": ["never", ""],
}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove `.env` and all our variables; undo whatever a test sets."""
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, "litellm_local_model_cost_map", "openai_api_key"]:
        monkeypatch.setenv(name.upper(), "")
        monkeypatch.delenv(name.upper())


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()

    assert settings.demo
    assert settings.embedded
    assert settings.database_url == "sqlite:///chat.db"


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_an_invalid_value_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings, match=f"^{name}: ") as refused:
        load_settings()

    assert "Value error" not in str(refused.value)


def test_all_invalid_settings_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in WRONG.items():
        monkeypatch.setenv(name, values[0])

    with pytest.raises(InvalidSettings) as refused:
        load_settings()

    assert {problem.partition(":")[0] for problem in str(refused.value).split("; ")} == set(WRONG)


def test_a_refusal_does_not_repeat_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss//user:s3cret@host")

    with pytest.raises(InvalidSettings) as refused:
        load_settings()

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("90", timedelta(seconds=90)),
        ("0.25", timedelta(milliseconds=250)),
        ("PT2M", timedelta(minutes=2)),
        ("P1DT1H", timedelta(days=1, hours=1)),
    ],
)
def test_a_time_is_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, value: str, meant: timedelta
) -> None:
    monkeypatch.setenv("LOG_TTL", value)

    assert load_settings().log_ttl == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("https://a.example", ("https://a.example",)),
        (" https://a.example , https://b.example ,", ("https://a.example", "https://b.example")),
        ("", ()),
    ],
)
def test_origins_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, value: str, meant: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", value)

    assert load_settings().allowed_origins == meant


def test_settings_can_be_made_of_values() -> None:
    made = Settings(log_ttl=timedelta(seconds=7), allowed_origins=("https://a.example",))

    assert (made.log_ttl, made.allowed_origins) == (timedelta(seconds=7), ("https://a.example",))


def test_a_file_sets_what_the_environment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "CHAT_MODEL=openai/from-file\nREDIS_URL=redis://from-file\nOPENAI_API_KEY=key-of-file\n"
    )
    monkeypatch.setenv("REDIS_URL", "redis://from-environment")

    settings = load_settings()

    assert settings.chat_model == "openai/from-file"
    assert settings.redis_url == "redis://from-environment"
    assert os.environ["OPENAI_API_KEY"] == "key-of-file"


def test_the_import_of_litellm_fetches_nothing_unless_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_settings()
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"

    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "False")
    load_settings()
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "False"


def test_the_summary_says_what_answers_and_where_things_are() -> None:
    assert Settings().summary() == (
        "chat: the built-in demo model answers · in-process engine · database sqlite:///chat.db"
    )
    real = Settings(
        chat_model="openai/gpt",
        redis_url="redis://:pw@redis.example:6379/0",
        database_url="postgresql://me:pw@db.example/chat?sslmode=require",
    )
    assert real.summary() == (
        "chat: openai/gpt answers · Redis at redis://redis.example:6379/0 · "
        "database postgresql://db.example/chat"
    )


@hypothesis_settings(deadline=None)
@given(
    password=st.text("!?#@:/%&= \\xX9", min_size=1).map(lambda text: f"s3{text}cr3t"),
    query=st.sampled_from(["", "?password=", "?a=b&password="]),
)
def test_the_summary_shows_no_password(password: str, query: str) -> None:
    for scheme in ("redis", "rediss", "unix"):
        settings = Settings(
            redis_url=f"{scheme}://user:{password}@host/0{query}{query and password}"
        )

        assert "cr3t" not in settings.summary()
        assert "s3" not in settings.summary()


def test_a_key_is_not_shown() -> None:
    settings = Settings.model_validate({"model_api_key": "s3cret"})

    assert "s3cret" not in repr(settings) + settings.summary()


@pytest.mark.parametrize(
    ("default", "others", "offered"),
    [
        ("demo", "", ("demo",)),
        ("openai/a", "openai/b, openai/a,,openai/c", ("openai/a", "openai/b", "openai/c")),
    ],
)
def test_the_default_model_is_offered_first_and_each_model_once(
    default: str, others: str, offered: tuple[str, ...]
) -> None:
    settings = Settings.model_validate({"chat_model": default, "chat_models": others})

    assert settings.models == offered
