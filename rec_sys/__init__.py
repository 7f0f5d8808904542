"""A recommender that reads what people write: attention over the reviews of a user-product graph."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rec_sys.estimator import ReviewGraphRecommender

__all__ = ["ReviewGraphRecommender"]


def __getattr__(name: str) -> Any:
    """Imported when asked for, so that a command imports no more than it needs."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("rec_sys.estimator"), name)
