"""What the last refreshes came to: each notes it, and the service shows it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rec_sys.files import atomic_file

_FILE: Final = "refresh/history.json"  # in output_dir
_KEPT: Final = 20


class RefreshOutcome(BaseModel):
    """A refresh that has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"), description="ISO 8601.")
    outcome: Literal["published", "worse", "nothing new"]
    served: str = Field(description="The identity of the bundle that was live when it began.")
    candidate: str | None = Field(None, description="Of the one that it made; null where there was nothing new.")
    candidate_ndcg: float | None = Field(None, description="NDCG@10 on the gate's questions; null without a gate.")
    served_ndcg: float | None = None
    error: float | None = Field(None, description="Standard error of the difference.")
    num_questions: int | None = None


_OUTCOMES: Final = TypeAdapter(tuple[RefreshOutcome, ...])


def note_refresh(output_dir: Path, outcome: RefreshOutcome) -> None:
    """Adds one, and lets go of the oldest."""
    kept = (outcome, *refreshes(output_dir))[:_KEPT]
    (output_dir / _FILE).parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output_dir / _FILE) as unfinished:
        unfinished.write_bytes(_OUTCOMES.dump_json(kept, indent=2))


def refreshes(output_dir: Path) -> tuple[RefreshOutcome, ...]:
    """The last ones, the newest first; none where nothing was noted, or nothing that can be read."""
    try:
        return _OUTCOMES.validate_json((output_dir / _FILE).read_bytes())
    except (OSError, ValidationError):
        return ()
