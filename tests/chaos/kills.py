"""Commands killed at a drawn moment: what was there before is whole, and the same command ends as if nothing had been.

uv run -m tests.chaos.kills --seed 0 --cases 100

Moments are seconds of a processor, not of a clock: a busy machine draws the same ones.
"""

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from rec_sys.bundle import find_bundle
from rec_sys.contracts import InputError
from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.stages import ALL_STAGES, Stage, run_stage, run_undisturbed, start_stage
from tests.warm_processes import WarmProcess

_LOOKED_EVERY: Final = 0.005  # seconds
_MOST_IN_A_ROW: Final = 5  # kills, before the command is left to end
_TICK: Final = 0.02  # seconds of a clock, within what the kernel counts of a processor
_SECONDS_TO_FOLLOW: Final = 20.0  # in which the processes of a killed command end, too
_TIMES: Final = ("seconds", "time", "duration")  # of figures that say how long something took


def attack(campaign: Campaign, cases: int, num_stages: int = ALL_STAGES) -> None:
    """Kills so many commands, each at a moment drawn over the work that it has undisturbed.

    One to five kills follow each other in one folder, so that what a killed command leaves is met by one that is killed
    as well; then it may end. Only the first `num_stages` are tried.
    """
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        road = run_undisturbed(work, num_stages)
        ends = [state_of(place.after) for place in road]
        outputs, log = work / "outputs", work / "log.txt"
        rows = finished = 0
        while campaign.tried < cases:
            number, rows = rows % len(road), rows + 1
            place, before = road[number], state_of(road[number].start)
            log.write_text("")
            shutil.rmtree(outputs, ignore_errors=True)
            shutil.copytree(place.start, outputs, symlinks=True)
            lost = len(campaign.lost)
            for left in reversed(range(min(campaign.random.randint(1, _MOST_IN_A_ROW), cases - campaign.tried))):
                moment, tick = campaign.random.uniform(0, place.cpu_seconds), campaign.random.uniform(0, _TICK)
                with campaign.case(f"{place.stage.module} killed after {moment:.2f} s of work", log, outputs):
                    finished += _kill(place.stage, outputs, (moment, tick), (before, ends[number]))
                    if not left:
                        _end(place.stage, outputs, ends[number], log)
                if len(campaign.lost) > lost:
                    break
        campaign.figures["had ended before"] = finished


def state_of(outputs: Path) -> dict[str, Any]:
    """What the files of a folder come to: which of each kind there are, and the figures of the newest model."""
    names = {path.relative_to(outputs).parts[0] for path in outputs.rglob("*") if path.is_file()}
    found: dict[str, Any] = {"folders": sorted(name for name in names if not name.startswith("."))}
    with suppress(InputError):
        metrics = find_bundle(None, outputs).metrics()
        found["metrics"] = json.loads(json.dumps(metrics), object_hook=_without_times)
    return found


def _kill(stage: Stage, outputs: Path, moment: tuple[float, float], states: tuple[dict[str, Any], ...]) -> bool:
    """Leaves the old or the new state of both and no process; whether the command had ended when its time came."""
    with start_stage(stage, outputs) as process:
        helpers: list[psutil.Process] = []
        had_ended = _wait(process, *moment)
        if not had_ended:
            with suppress(psutil.NoSuchProcess):
                helpers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
    _, left = psutil.wait_procs(helpers, timeout=_SECONDS_TO_FOLLOW)
    assert not left, f"processes were left: {left}"
    found = state_of(outputs)
    if "metrics" in found or "metrics" in states[0]:
        whole = [one["metrics"] for one in states if "metrics" in one]
        assert found.get("metrics") in whole, "a model is there that is neither the old nor the new one"
    return had_ended


def _end(stage: Stage, outputs: Path, after: dict[str, Any], log: Path) -> None:
    """The same command ends as an undisturbed run and sweeps what the killed ones left."""
    again = run_stage(stage, outputs)
    log.write_text(f"again, exit code {again.returncode}\n{again.stdout}\n{again.stderr}")
    assert again.returncode == 0, "the same command fails"
    assert "Traceback" not in again.stderr
    assert state_of(outputs) == after, "it ends elsewhere than an undisturbed run"
    assert not list(outputs.rglob("*.unfinished*")), "a half was left"


def _wait(process: WarmProcess, cpu_seconds: float, tick: float) -> bool:
    """Waits until a command has worked for so long, and a little longer; whether it ended before that."""
    with suppress(psutil.NoSuchProcess):
        worked = psutil.Process(process.pid)
        while process.poll() is None and sum(worked.cpu_times()[:2]) < cpu_seconds:
            time.sleep(_LOOKED_EVERY)
    time.sleep(tick)
    return process.poll() is not None


def _without_times(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not any(word in name for word in _TIMES)}


if __name__ == "__main__":
    run_by_hand("kills", attack, "cases", 100)
