"""Tokens, keys and passwords stand where they are needed and nowhere else: they are planted, and all that is put out
is searched for them.
"""

import json
import logging
import pickle
import sys
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError
from starlette.testclient import TestClient

from rec_sys.contracts import InputError
from rec_sys.data.download import download
from rec_sys.entry import compose_settings, run_entry
from rec_sys.serving.application import create_application
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.serving.logs import configure_logs
from rec_sys.settings import Address, RawFile, Section, ServerIndex, ServingSettings, Settings, TrackingSettings
from rec_sys.settings_request import sections_in
from rec_sys.shown_text import SECRET_NAMES, strip_secrets
from rec_sys.tracking import Tracker
from rec_sys.vector_database.opening import open_index
from tests.scripted_recommender import ScriptedRecommender

# Put together here, so that a trace, which shows lines of source, does not hold it.
PLANTED = "-".join(["xq7", "planted", "zw9"])
GATEWAY = (
    f"serving.token={PLANTED}",
    f"serving.tokens=[{{name:shop,token:{PLANTED}}}]",
    "index=server",
    f"index.url=http://ada:{PLANTED}@127.0.0.1:1",
    f"index.api_key={PLANTED}",
)
TRAINING = (
    f"tracking.uri='postgresql://ada:{PLANTED}@nowhere.invalid/runs?sslkey={PLANTED}'",
    "data=instruments_2014",
    f"data.reviews_download.url='https://ada:{PLANTED}@nowhere.invalid/reviews.gz?signature={PLANTED}'",
)
COMMANDS: dict[str, tuple[type[Section], tuple[str, ...]]] = {
    "gateway": (GatewaySettings, GATEWAY),
    "config": (Settings, TRAINING),
}


def printed_by(
    arguments: list[str], name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    def show(given: Any) -> None:
        logging.getLogger("rec_sys.test").info("%r %s", given, given.model_dump())
        raise ValueError(str(given))

    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit):
        run_entry(show, COMMANDS[name][0], name)
    return "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "flags",
    [
        *([], ["--cfg", "job"], ["--cfg", "job", "--resolve"], ["--cfg", "all"], ["--cfg", "hydra"]),
        *(["--info", "all"], ["--info", "config"], ["--help"], ["-c", "job", "-p", "serving.token"]),
        *(["-c", "job", "-p", "index.url"], ["-c", "job", "-p", "tracking.uri"], ["--multirun"]),
        *(["--info"], ["--cfg"], [f"--token={PLANTED}"], ["--resolve", f"--api-key={PLANTED}"]),
    ],
    ids=lambda flags: " ".join(flags).replace(PLANTED, "..."),
)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_no_secret(
    name: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = printed_by([*flags, *COMMANDS[name][1]], name, monkeypatch, capfd)
    assert said
    assert PLANTED not in said


def test_settings_from_the_environment_are_not_printed_either(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", PLANTED)
    monkeypatch.setenv("QDRANT_API_KEY", PLANTED)
    said = printed_by(["--cfg", "job", "--resolve", "index=server"], "gateway", monkeypatch, capfd)
    assert "token: '***'" in said or "token: ***" in said
    assert PLANTED not in said


@pytest.mark.parametrize(
    "override",
    [
        f"serving.tokens=[{{name:a b,token:{PLANTED}}}]",
        f"serving.tokens=[{{nam:a,token:{PLANTED}}}]",
        f"serving.tokens={{token:{PLANTED}}}",
        f"serving.tokens=[{PLANTED[:7]}]",
        f"serving.token=[{PLANTED}]",
        f"serving.token={PLANTED},{PLANTED}",
        f"serving.token={PLANTED}[",
        f"serving.api_key={PLANTED}",
        f"index.url=ftp://ada:{PLANTED}@host",
        f"index.url=[http://ada:{PLANTED}@host]",
    ],
)
def test_what_is_wrong_with_a_setting_is_said_without_its_secret(override: str) -> None:
    part = PLANTED[:7]
    with pytest.raises(InputError) as refused:
        compose_settings(["index=server", override], GatewaySettings, "gateway")
    assert part not in str(refused.value)
    cause = refused.value.__cause__
    assert not isinstance(cause, ValidationError) or part not in str(cause)


def test_a_short_token_is_refused_without_being_shown() -> None:
    for override in ("serving.token=hunter2", "serving.tokens=[{name:a,token:hunter2}]"):
        with pytest.raises(InputError) as refused:
            compose_settings([override], GatewaySettings, "gateway")
        assert "hunter2" not in str(refused.value)


def secret_fields(section: type[BaseModel], above: str = "") -> dict[str, Any]:
    """Every setting whose type hides it, by its dotted key."""
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if {SecretStr, Address} & {field.annotation, *get_args(field.annotation)}:
            found[f"{above}{name}"] = field
        for below in sections_in(field.annotation):
            found |= secret_fields(below, f"{above}{name}.")
    return found


def test_every_setting_that_is_named_like_a_secret_or_an_address_hides_it() -> None:
    """A setting that is added later is found by its name."""
    hidden = {**secret_fields(GatewaySettings), **secret_fields(Settings)}
    assert {"serving.token", "serving.tokens.token", "index.api_key", "index.url", "tracking.uri"} <= hidden.keys()
    telling = {*SECRET_NAMES, "url", "uri", "key", "secret", "credentials"}

    def names(section: type[BaseModel], above: str = "") -> set[str]:
        own = {f"{above}{name}" for name in section.model_fields}
        below = (
            names(kind, f"{above}{name}.")
            for name, field in section.model_fields.items()
            for kind in sections_in(field.annotation)
        )
        return own.union(*below)

    found = {name for name in names(GatewaySettings) | names(Settings) if name.rpartition(".")[2] in telling}
    assert found <= hidden.keys()


def test_settings_that_are_written_hold_no_secret_and_settings_that_are_handed_on_do() -> None:
    for name, (kind, overrides) in COMMANDS.items():
        settings = compose_settings(overrides, kind, name)
        written = (
            settings.model_dump_json(),
            json.dumps(settings.model_dump(mode="json")),
            repr(settings),
            str(settings),
        )
        assert PLANTED not in "".join(written)
        assert pickle.loads(pickle.dumps(settings)) == settings
        assert kind.model_validate(settings.model_dump()) == settings


def test_an_address_without_secrets_is_written_as_it_is() -> None:
    for text in ("http://localhost:6333", "sqlite:////a b/mlflow.db", "databricks", "https://[::1]:80/a/b.gz"):
        assert str(Address(text)) == text
    assert str(Address("http://ada:a b@host")) == "http://***@host"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_service_neither_answers_nor_logs_a_secret(
    log_format: str, capsys: pytest.CaptureFixture[str], untouched_logs: None
) -> None:
    settings = ServingSettings.model_validate(
        {"token": PLANTED, "log_format": log_format, "tokens": [{"name": "shop", "token": f"{PLANTED}-2"}]}
    )
    configure_logs(settings)
    structlog.configure(cache_logger_on_first_use=False)  # the service's loggers are those of other tests too
    index = ServerIndex.model_validate(
        {"backend": "server", "url": f"http://ada:{PLANTED}@127.0.0.1:1", "api_key": PLANTED, "timeout": 1}
    )
    with pytest.raises(InputError) as away:
        open_index(index).version()
    recommender = ScriptedRecommender()
    answers = []
    with TestClient(create_application(settings, recommender), raise_server_exceptions=False) as client:
        for failure in (away.value, ValueError(index.url.get_secret_value()), RuntimeError(f"token={PLANTED}")):
            recommender.failure = failure
            for bearer in (PLANTED, f"{PLANTED}-2", f"{PLANTED}-3"):
                header = {"Authorization": f"Bearer {bearer}"}
                answers.append(client.post("/v1/recommendations", json={"reviews": []}, headers=header))
        answers += [client.get(path) for path in ("/docs", "/openapi.json", "/metrics", "/health/ready", "/v1/models")]
    structlog.get_logger("test").warning("settings", settings=str(settings), where=[index.url.get_secret_value()])
    assert {answer.status_code for answer in answers} >= {200, 401, 500}
    assert PLANTED not in "".join(answer.text + str(answer.headers) for answer in answers)
    said = capsys.readouterr().err
    assert "Traceback" in said or "exc_type" in said
    assert PLANTED not in said


def test_an_address_that_does_not_answer_is_named_without_its_secret(tmp_path: Path) -> None:
    for scheme in ("postgresql", "http", "mysql+nothing", "odd"):
        settings = TrackingSettings.model_validate({"uri": f"{scheme}://ada:{PLANTED}@127.0.0.1:1/runs?key={PLANTED}"})
        with pytest.raises(InputError) as refused, Tracker(settings, tmp_path, "run"):
            pass
        assert "tracking.uri" in refused.value.remedy
        assert PLANTED not in str(refused.value)
    file = RawFile.model_validate({"url": f"https://ada:{PLANTED}@shop.invalid/reviews.gz?signature={PLANTED}"})
    refuse = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(403)))
    with pytest.raises(InputError, match=r"shop\.invalid/reviews\.gz") as gone:
        download(file, tmp_path, client=refuse)
    assert PLANTED not in str(gone.value)


def test_stripping_takes_no_longer_on_a_text_made_for_it() -> None:
    for part in ("a", "http://a:", "http://a:b@", "token", "token='", "?a=", "http://?a=", "'"):
        strip_secrets(part * 30_000)
