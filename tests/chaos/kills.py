"""Commands killed at a drawn moment: what was there before is whole, and the same command ends as if nothing had been.

uv run -m tests.chaos.kills --seed 0 --cases 100
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from rec_sys.bundle import find_bundle
from rec_sys.contracts import InputError
from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.stages import NUM_STAGES, Stage, run_stage, run_undisturbed, start_stage

_SECONDS_TO_FOLLOW: Final = 20.0  # in which the processes of a killed command end, too
_TIMES: Final = ("seconds", "time", "duration")  # of figures that say how long something took


def attack(campaign: Campaign, cases: int, num_stages: int = NUM_STAGES) -> None:
    """Kills so many commands, each at a moment drawn over what it takes undisturbed.

    Only the first `num_stages` are tried.
    """
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        road = run_undisturbed(work, num_stages)
        ends = [state_of(place.after) for place in road]
        finished = 0
        for case in range(cases):
            number = case % len(road)
            place = road[number]
            moment = campaign.random.uniform(0, place.seconds)
            log, outputs = work / "log.txt", work / "outputs"
            log.write_text("")
            shutil.rmtree(outputs, ignore_errors=True)
            shutil.copytree(place.start, outputs)
            with campaign.case(f"{place.stage.module} killed after {moment:.2f} s", log, outputs):
                before = {} if number == 0 else ends[number - 1]
                finished += _one(place.stage, outputs, moment, before, ends[number], log)
        campaign.figures["had ended before"] = finished


def state_of(outputs: Path) -> dict[str, Any]:
    """What the files of a folder come to: which of each kind there are, and the figures of the newest model."""
    names = {path.relative_to(outputs).parts[0] for path in outputs.rglob("*") if path.is_file()}
    found: dict[str, Any] = {"folders": sorted(name for name in names if not name.startswith("."))}
    with suppress(InputError):
        metrics = find_bundle(None, outputs).metrics()
        found["metrics"] = json.loads(json.dumps(metrics), object_hook=_without_times)
    return found


def _one(stage: Stage, outputs: Path, moment: float, before: dict[str, Any], after: dict[str, Any], log: Path) -> bool:
    """Whether the command had ended when its time came."""
    with start_stage(stage, outputs) as process:
        had_ended, helpers = True, []
        try:
            process.wait(moment)
        except TimeoutExpired:
            had_ended = False
            with suppress(psutil.NoSuchProcess):
                helpers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
    _, left = psutil.wait_procs(helpers, timeout=_SECONDS_TO_FOLLOW)
    assert not left, f"processes were left: {left}"
    found = state_of(outputs)
    if "metrics" in before or "metrics" in found:
        whole = [one["metrics"] for one in (before, after) if "metrics" in one]
        assert found.get("metrics") in whole, "a model is there that is neither the old nor the new one"
    again = run_stage(stage, outputs)
    log.write_text(f"again, exit code {again.returncode}\n{again.stdout}\n{again.stderr}")
    assert again.returncode == 0, "the same command fails"
    assert "Traceback" not in again.stderr
    assert state_of(outputs) == after, "it ends elsewhere than an undisturbed run"
    assert not list(outputs.rglob("*.unfinished*")), "a half was left"
    return had_ended


def _without_times(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not any(word in name for word in _TIMES)}


if __name__ == "__main__":
    run_by_hand("kills", attack, "cases", 100)
