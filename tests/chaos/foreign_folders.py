"""Folders that are not the command's own: each ends with one message that names it, or goes on; nothing is left half.

    uv run -m tests.chaos.foreign_folders --seed 0 --cases 40

Read-only file systems, folders of another user, a file, a dangling link or nothing where the folder should be, what a
killed writer left with its locks, and a second writer. It needs root, to mount and to give folders away; where it may
not, it says so.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rec_sys.files import sha256_of
from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.stages import NUM_STAGES, SECONDS, Undisturbed, run_undisturbed
from tests.warm_processes import WarmProcess

NOBODY: Final = 65_534  # the uid of Linux's overflow user
# Without its capabilities root is a user like any other: only its own files, and those open to all.
UNPRIVILEGED: Final = """
import ctypes, runpy, sys
system = ctypes.CDLL(None, use_errno=True)
assert system.prctl(28, 1, 0, 0, 0) == 0  # PR_SET_SECUREBITS, SECBIT_NOROOT: programs that it starts get none back
version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
assert system.capset(version_3, (ctypes.c_uint32 * 6)()) == 0
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Attempt:
    """A command that is about to meet a folder.

    Attributes:
        place: The command, and what it does where nothing is in its way.
        work: An empty folder.
        log: Where its words go.
        moment: From 0 to 1; drawn.
    """

    place: Undisturbed
    work: Path
    log: Path
    moment: float

    def command(self, outputs: Path) -> tuple[str, ...]:
        """Its words after `-m`; where the folder has no bundle, another one's is read."""
        lacks = self.place.stage.needs_bundle and not (outputs / "bundles").exists()
        found = sorted(self.place.start.glob("bundles/*/manifest.json")) if lacks else []
        bundle = [f"bundle={path.parent}" for path in found]
        return (*self.place.stage.command(outputs), *bundle)

    def begin(self, outputs: Path, *, unprivileged: bool = False) -> WarmProcess:
        """The command at work."""
        command = self.command(outputs)
        return WarmProcess("-c", UNPRIVILEGED, *command) if unprivileged else WarmProcess("-m", *command)

    def end(self, process: WarmProcess, outputs: Path, cause: str = "") -> int:
        """Its exit code, where it ended as it should; a message says the cause."""
        out, err = process.communicate(SECONDS)
        code = process.wait()
        with self.log.open("a") as log:
            log.write(f"exit code {code}\n{out}\n{err}\n")
        assert code in (0, 2), f"exit code {code}"
        assert "Traceback" not in err, "a trace"
        _, *errors = f"\n{err}".split("\nerror: ")
        assert len(errors) == (1 if code else 0), f"{len(errors)} messages"
        if code:
            assert str(outputs) in errors[0], "the folder is not named"
            assert "what to do: " in errors[0], "no way out is named"
            assert cause in errors[0].lower(), "the cause is not said"
        return code

    def copy(self, *, done: bool = False) -> Path:
        """What it starts from, or what it leaves, to write to."""
        return shutil.copytree(self.place.after if done else self.place.start, self.work / "outputs", symlinks=True)


def can_be_foreign() -> bool:
    """Whether this process may mount, and give folders to other users."""
    with TemporaryDirectory() as scratch:
        try:
            shutil.chown(scratch, NOBODY)
            with _mounted(Path(scratch)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def attack(campaign: Campaign, cases: int, num_stages: int = NUM_STAGES) -> None:
    """Runs so many cases: commands meet all kinds of folders, in an order that is drawn, again and again.

    Only the first `num_stages` are tried.
    """
    with TemporaryDirectory() as scratch:
        home = Path(scratch)
        pairs = [(place, kind) for place in run_undisturbed(home, num_stages) for kind in KINDS]
        campaign.random.shuffle(pairs)
        ends: dict[str, int] = {}
        for number in range(cases):
            place, kind = pairs[number % len(pairs)]
            moment = campaign.random.random()
            log = home / "log.txt"
            log.write_text("")
            with (
                campaign.case(f"{place.stage.module}, {kind}, moment {moment:.3f}", log),
                TemporaryDirectory(dir=home) as work,
            ):
                end = KINDS[kind](Attempt(place, Path(work), log, moment))
                ends[end] = ends.get(end, 0) + 1
        campaign.figures["ends"] = ", ".join(f"{count} {name}" for name, count in sorted(ends.items()))


def _meet_read_only(attempt: Attempt) -> str:
    with _mounted(attempt.work) as disk:
        outputs = shutil.copytree(attempt.place.start, disk / "outputs", symlinks=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
        return _refused(attempt, outputs, "read-only")


def _meet_another_users(attempt: Attempt) -> str:
    return _given_away(attempt, 0o755)


def _meet_closed(attempt: Attempt) -> str:
    return _given_away(attempt, 0o700)


def _given_away(attempt: Attempt, mode: int) -> str:
    outputs = attempt.copy()
    for path in (outputs, *outputs.rglob("*")):
        shutil.chown(path, NOBODY, NOBODY)
        if path.is_dir():
            path.chmod(mode)
    return _refused(attempt, outputs, "permission", unprivileged=True)


def _meet_one_closed(attempt: Attempt) -> str:
    """One file or folder of what the command left is another user's, as after a run with `sudo`."""
    outputs = attempt.copy(done=True)
    found = sorted(path for path in outputs.rglob("*") if not path.is_symlink())
    path = found[int(attempt.moment * len(found))]
    shutil.chown(path, NOBODY, NOBODY)
    path.chmod(0o700 if path.is_dir() else 0o600)
    with attempt.log.open("a") as log:
        log.write(f"closed: {path}\n")
    code = attempt.end(attempt.begin(outputs, unprivileged=True), outputs, "permission")
    # What another user has below a folder that is replaced cannot be removed, but it is named.
    said = attempt.log.read_text()
    left = [path for path in outputs.rglob("*.unfinished*") if f"permissions: {path}\n" not in said]
    assert not left, "a half was left without a word"
    return "refused" if code else "whole"


def _meet_file(attempt: Attempt) -> str:
    outputs = attempt.work / "outputs"
    outputs.write_text("somebody's")
    return _refused(attempt, outputs, "cannot be written to")


def _meet_dangling_link(attempt: Attempt) -> str:
    outputs = attempt.work / "outputs"
    outputs.symlink_to(attempt.work / "gone")
    return _refused(attempt, outputs, "cannot be written to")


def _meet_nothing(attempt: Attempt) -> str:
    outputs = attempt.work / "no" / "such" / "outputs"
    assert attempt.end(attempt.begin(outputs), outputs) == 0, "missing parents are made"
    return _whole(outputs)


def _meet_dead_writer(attempt: Attempt) -> str:
    outputs = attempt.copy()
    with attempt.begin(outputs) as killed:
        time.sleep(attempt.moment * attempt.place.cpu_seconds)
        killed.kill()
    assert attempt.end(attempt.begin(outputs), outputs) == 0, "a dead process holds it"
    return _whole(outputs)


def _meet_second_writer(attempt: Attempt) -> str:
    outputs = attempt.copy()
    with attempt.begin(outputs) as first:
        time.sleep(attempt.moment * attempt.place.cpu_seconds / 2)
        with attempt.begin(outputs) as second:
            codes = [attempt.end(process, outputs) for process in (first, second)]
    assert 0 in codes, "nobody wrote"
    assert attempt.end(attempt.begin(outputs), outputs) == 0, "what both left cannot be gone on with"
    return _whole(outputs)


KINDS: Final[dict[str, Callable[[Attempt], str]]] = {
    "read-only": _meet_read_only,
    "another user's": _meet_another_users,
    "another user's and closed": _meet_closed,
    "one file or folder another user's and closed": _meet_one_closed,
    "a file": _meet_file,
    "a dangling link": _meet_dangling_link,
    "missing parents": _meet_nothing,
    "a killed writer's": _meet_dead_writer,
    "two writers": _meet_second_writer,
}


def _refused(attempt: Attempt, outputs: Path, cause: str, *, unprivileged: bool = False) -> str:
    before = _content(attempt.work)
    code = attempt.end(attempt.begin(outputs, unprivileged=unprivileged), outputs, cause)
    assert code == 2, "it was written to"
    assert _content(attempt.work) == before, "something was changed"
    return "refused"


def _whole(outputs: Path) -> str:
    assert not list(outputs.rglob("*.unfinished*")), "a half was left"
    return "whole"


def _content(folder: Path) -> dict[str, str]:
    """What is below a folder, by its path there: the sha256 of files, nothing of what is no file."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): sha256_of(path) if path.is_file() else "" for path in found}


@contextmanager
def _mounted(work: Path) -> Iterator[Path]:
    place = work / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=True, capture_output=True)
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", str(place)], check=True, capture_output=True)
        yield place


if __name__ == "__main__":
    run_by_hand("foreign_folders", attack, "cases", 40)
