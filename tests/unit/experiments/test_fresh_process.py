"""A measurement in a process of its own is answered, refused, or ended while Python hears no signal in it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from pydantic import BaseModel

from rec_sys.contracts import InputError
from rec_sys.experiments.fresh_process import measure_apart
from tests.triton_servers import until

MODULE = """
    import os, signal
    from pathlib import Path
    from pydantic import BaseModel
    from rec_sys.contracts import InputError
    from rec_sys.experiments.fresh_process import answer_request

    class Asked(BaseModel):
        what: str

    def measure(asked):
        if asked.what == "refuse":
            raise InputError("too many", where="here", remedy="choose fewer")
        if asked.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked.what == "deaf":
            Path(__file__).with_name("computing").touch()
            sum(range(10**13))  # as a library's call: it lasts hours, and no signal is looked at
        return {"found": asked.what}

    if __name__ == "__main__":
        answer_request(measure, Asked)
"""


class Asked(BaseModel):
    what: str


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "measuring_module.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "measuring_module"


def test_what_is_found_comes_back(tmp_path: Path, module: str) -> None:
    found = measure_apart(module, Asked(what="ü"), tmp_path, where="", remedy="")
    assert found == {"found": "ü"}


def test_a_refusal_is_told_by_the_process_and_ends_the_command(
    tmp_path: Path, module: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        measure_apart(module, Asked(what="refuse"), tmp_path, where="", remedy="")
    assert ended.value.code == 2
    assert "error: too many" in capfd.readouterr().err


def test_a_killed_process_is_named(tmp_path: Path, module: str) -> None:
    with pytest.raises(InputError, match="ended by signal 9") as refused:
        measure_apart(module, Asked(what="die"), tmp_path, where="100 products", remedy="choose fewer")
    assert (refused.value.where, refused.value.remedy) == ("100 products", "choose fewer")


def test_an_interrupt_ends_what_hears_no_signal(tmp_path: Path, module: str) -> None:
    source = f"""
        import signal
        from pathlib import Path
        from pydantic import BaseModel
        from rec_sys.experiments.fresh_process import measure_apart

        class Asked(BaseModel):
            what: str

        measure_apart({module!r}, Asked(what="deaf"), Path({str(tmp_path)!r}), where="", remedy="")
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], stderr=subprocess.DEVNULL) as parent:
        try:
            assert until((tmp_path / "computing").exists, 120)
            [child] = psutil.Process(parent.pid).children()
            os.kill(parent.pid, signal.SIGINT)
            assert parent.wait(60) != 0
        finally:
            parent.kill()
    assert not child.is_running()
