"""Where the service listens, and its log."""

import json
import logging
import re
import socket

import pytest
import structlog

from rec_sys.contracts import InputError
from rec_sys.serving.listening import address_of, listen
from rec_sys.serving.logs import configure_logs
from rec_sys.settings import ServingSettings


def test_port_0_takes_a_free_one() -> None:
    with listen(ServingSettings(port=0)) as first, listen(ServingSettings(port=0)) as second:
        assert first.getsockname()[1] != second.getsockname()[1] != 0
        assert address_of(first) == f"http://127.0.0.1:{first.getsockname()[1]}"


def test_every_address_is_named_by_one_that_can_be_asked() -> None:
    with listen(ServingSettings(port=0, host="0.0.0.0")) as listener:
        assert address_of(listener).startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_refused_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1:{port}") as refused:
            listen(ServingSettings(port=port))
    assert "serving.port" in refused.value.where


def test_an_address_of_another_machine_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"cannot listen at 192\.0\.2\.1"):
        listen(ServingSettings(host="192.0.2.1", port=0))


def test_the_log_is_a_line_of_json_for_each_event(capsys: pytest.CaptureFixture[str], untouched_logs: None) -> None:
    configure_logs(ServingSettings(log_level="info"))
    log = structlog.get_logger("test")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("request", status=200)
        log.debug("not shown")
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("failed")
    logging.getLogger("uvicorn.error").warning("from %s", "a library")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [line["event"] for line in lines] == ["request", "failed", "from a library"]
    assert [line["level"] for line in lines] == ["info", "error", "warning"]
    assert [line.get("request_id") for line in lines] == ["r1", "r1", None]
    assert lines[1]["exception"][0]["exc_type"] == "ValueError"
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_value_of_a_variable_stands_in_a_trace(
    log_format: str, capsys: pytest.CaptureFixture[str], untouched_logs: None
) -> None:
    configure_logs(ServingSettings.model_validate({"log_format": log_format}))
    token = "-".join(["shop", "secret"])
    try:
        raise ValueError(f"broken after {len(token)} characters")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    said = capsys.readouterr().err
    assert "broken after 11 characters" in said
    assert token not in said


def test_the_log_can_be_for_people(capsys: pytest.CaptureFixture[str], untouched_logs: None) -> None:
    configure_logs(ServingSettings(log_level="info", log_format="console"))
    structlog.get_logger("test").info("request", status=200)
    said = capsys.readouterr().err
    assert "request" in said
    assert "status=200" in said


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_text_of_others_steers_the_terminal_or_begins_a_line(
    log_format: str, capsys: pytest.CaptureFixture[str], untouched_logs: None
) -> None:
    configure_logs(ServingSettings.model_validate({"log_format": log_format}))
    text = "\x1b[31m\x9b2J\u202eevil\r\n2026-01-01 forged"
    structlog.get_logger("test").info(f"event {text}", path=text, bearer=[text])
    logging.getLogger("uvicorn.error").warning("from %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger("test").exception("failed")
    said = capsys.readouterr().err
    assert not re.search("[\x1b\x9b\u202e\r]", said)
    assert said.count(r"\u001b[31m\u009b2J\u202eevil") >= 3  # the renderer for people quotes values
    before_the_trace = said.partition("Traceback")[0].splitlines()
    assert not [line for line in before_the_trace if line.startswith("2026-01-01 forged")]
