"""A campaign against the service: what it tried by which seed, what was lost, and the state in which that happened."""

import argparse
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT = Path("outputs/chaos")
_TOLD_EVERY = 25  # cases


class Campaign:
    """One run of a campaign; the same seed draws the same cases.

    Args:
        name: The module's name.
        seed: Of everything that is drawn.
        keep: Where the state of each failure goes.
    """

    def __init__(self, name: str, seed: int, keep: Path) -> None:
        self.name, self.seed, self.keep = name, seed, keep
        self.random = random.Random(seed)
        self.tried = 0
        self.lost: list[str] = []
        self.figures: dict[str, object] = {}

    @contextmanager
    def case(self, what: str, *state: Path) -> Iterator[None]:
        """One thing that is tried: where it fails, the trace and a copy of the state are kept."""
        self.tried += 1
        try:
            yield
        except Exception as error:
            self.lost.append(f"{what}: {str(error) or repr(error)}")
            print(f"lost: {self.lost[-1]}", flush=True)
            folder = self.keep / f"{self.name}-{self.seed}" / str(self.tried)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "failure.txt").write_text(f"{what}\n{traceback.format_exc()}")
            for path in state:
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, folder / path.name)
        if self.tried % _TOLD_EVERY == 0:
            print(f"tried {self.tried}, lost {len(self.lost)}", flush=True)

    def report(self) -> str:
        """What happened, in lines."""
        found = [f"{name}: {value}" for name, value in self.figures.items()]
        lost = [f"lost: {what}" for what in self.lost]
        return "\n".join([*found, *lost, f"tried {self.tried}, survived {self.tried - len(self.lost)}"])


def run_by_hand(name: str, attack: Callable[[Campaign, int], None], amount: str, usual: int) -> None:
    """Runs a campaign from the command line: `--seed 0 --AMOUNT 30`; exit code 1 where something was lost.

    Args:
        name: The campaign.
        attack: Runs it, as long or as often as it is told.
        amount: What that is counted in.
        usual: So much of it, unless told otherwise.
    """
    parser = argparse.ArgumentParser(prog=f"python -m tests.chaos.{name}")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument(f"--{amount}", type=int, default=usual, dest="amount")
    given = parser.parse_args()
    print(f"seed: {given.seed}", flush=True)
    campaign = Campaign(name, given.seed, KEPT)
    with suppress(KeyboardInterrupt):  # what was tried until then is told
        attack(campaign, given.amount)
    print(campaign.report())
    if campaign.lost:
        print(f"state: {campaign.keep / f'{name}-{given.seed}'}")
        sys.exit(1)
