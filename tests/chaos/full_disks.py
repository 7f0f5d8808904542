"""Disks that are full at a drawn byte: every command ends with one message, leaves no half, and goes on with space.

    uv run -m tests.chaos.full_disks --seed 0 --cases 100

Each case lays what a command starts from on a small file system of its own, an ext4 image or a tmpfs, and fills that up
to some bytes. It needs root, to mount; where it may not, it says so.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.stages import NUM_STAGES, Undisturbed, run_stage, run_undisturbed

SIZE_MB: Final = 512
KINDS: Final = ("ext4", "tmpfs")


def can_mount() -> bool:
    """Whether this process may mount what it needs."""
    with TemporaryDirectory() as scratch:
        try:
            with mounted("ext4", Path(scratch), 8):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def attack(campaign: Campaign, cases: int, num_stages: int = NUM_STAGES) -> None:
    """Runs so many cases, each of a command, a kind of file system and a number of free bytes that are drawn.

    Only the first `num_stages` are tried.
    """
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        road = run_undisturbed(work, num_stages)
        ends: dict[str, int] = {}
        for number in range(cases):
            place = road[number % len(road)]
            kind = campaign.random.choice(KINDS)
            free = campaign.random.randrange(place.stage.may_need)
            log = work / "log.txt"
            log.write_text("")
            with campaign.case(f"{place.stage.module} on {kind} with {free:,} bytes free", log):
                found = _one(place, kind, free, work, log)
                ends[found] = ends.get(found, 0) + 1
        campaign.figures["ends"] = ", ".join(f"{count} {name}" for name, count in sorted(ends.items()))


def _one(place: Undisturbed, kind: str, free: int, work: Path, log: Path) -> str:
    """How it ended: `refused`, or `whole` where the bytes were enough."""
    with mounted(kind, work, SIZE_MB) as disk:
        outputs = disk / "outputs"
        shutil.copytree(place.start, outputs, symlinks=True)
        with _filled(disk, free):
            ended = run_stage(place.stage, outputs)
        log.write_text(f"exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        assert ended.returncode in (0, 2), f"exit code {ended.returncode}"
        assert "Traceback" not in ended.stderr
        if ended.returncode:
            assert "the disk is full" in ended.stderr, "no word of the disk"
            again = run_stage(place.stage, outputs)
            log.write_text(f"{log.read_text()}\nagain, exit code {again.returncode}\n{again.stderr}")
            assert again.returncode == 0, "with space again it fails"
        assert not list(outputs.rglob("*.unfinished*")), "a half was left"
    return "refused" if ended.returncode else "whole"


@contextmanager
def mounted(kind: str, work: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own; ext4 in a sparse file, tmpfs in memory."""
    place, image = work / "disk", work / "image"
    place.mkdir(exist_ok=True)
    if kind == "ext4":
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
        mount = ["mount", "-o", "loop", str(image), str(place)]
    else:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, capture_output=True)
        image.unlink(missing_ok=True)


@contextmanager
def _filled(disk: Path, free: int) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb") as file, suppress(OSError):  # ext4 keeps some blocks for itself
        for step in (1 << 20, 1 << 12):
            while _free(disk) - free > step:
                os.posix_fallocate(file.fileno(), filler.stat().st_size, step)
    yield
    filler.unlink()


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


if __name__ == "__main__":
    run_by_hand("full_disks", attack, "cases", 100)
