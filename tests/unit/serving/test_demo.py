"""The demo finds out early what cannot work; its whole run is tested on the whole road."""

import socket
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.serving.demo import DemoSettings, prepare, run
from tests.triton_servers import needs_core


@pytest.mark.parametrize("setting", ["port", pytest.param("triton_port", marks=needs_core)])
def test_a_port_that_is_taken_is_told_before_anything_is_done(setting: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        settings = DemoSettings.model_validate({"output_dir": tmp_path, setting: holder.getsockname()[1]})
        with pytest.raises(InputError, match="cannot listen"):
            run(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_named_and_ends_the_demo(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = DemoSettings(output_dir=tmp_path, training=("trainer.lerning_rate=1",))
    with pytest.raises(InputError, match=r"rec_sys\.train\.train failed \(exit code 2\)"):
        prepare(settings)
    assert "demo: no bundle yet" in caplog.messages[0]
    assert "trainer.learning_rate" in capfd.readouterr().err
