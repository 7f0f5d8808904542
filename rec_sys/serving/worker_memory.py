"""What the workers of one service share: files that each of them maps into its memory, and that outlive any of them."""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class WorkerMemory:
    """A worker's place among those of a service.

    Attributes:
        folder: Where the files are, and only this service looks; None for a process that answers alone.
        number: The worker's own, from 0; another that takes its place after its death goes on with it.
        count: How many there are.
    """

    folder: Path | None = None
    number: int = 0
    count: int = 1

    def view(self, name: str, size: int) -> memoryview:
        """So many bytes that all workers see, zeros at first; what one writes is there for the others at once."""
        if self.folder is None:
            return memoryview(bytearray(size))
        with (self.folder / name).open("ab") as file:
            file.truncate(size)  # whoever comes second changes nothing
        with (self.folder / name).open("r+b") as file:
            return memoryview(mmap.mmap(file.fileno(), size))

    def numbers(self, name: str) -> memoryview:
        """A whole number of each worker, 64 bits."""
        return self.view(name, 8 * self.count).cast("q")

    @property
    def processes(self) -> memoryview:
        """The process of each worker that listens; 0 of one that does not yet, or has ended."""
        return self.numbers("processes")


ALONE: Final = WorkerMemory()
