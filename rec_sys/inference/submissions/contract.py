"""What a format of submissions says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rec_sys.inference.served_bundle import ServedBundle

Lists = Mapping[str, Sequence[str]]  # products of each user, best first


@dataclass(frozen=True)
class SubmissionFormat:
    """One shop's file: who is in it, how many products each gets, how a row stands there, what it is measured by.

    Attributes:
        header: The two columns: users and their products.
        products: Of a user, at most.
        write: A user's products as one field.
        read: The same backwards, from the field as it stands in the file.
        is_full: Whether each user gets exactly that many; where the model has fewer, the most popular follow.
        most_users: Rows at most; None for any number.
        users: Whom to ask for where no table of users is given; None: everybody that the bundle knows.
        user_column: The column of ids in a given table of users, who then all stand in the file.
        with_seen: Whether what a user has come to before may stand in their list again.
        popular: What fills lists up, best first; None: what most have come to, at any time.
        measure: How good lists are against a raw file of what happened next: a row for the model and for each simple
            way of doing it, each with its metrics.

    `read` raises `ValueError` with what is wrong.
    """

    header: tuple[str, str]
    products: int
    write: Callable[[Sequence[str]], str]
    read: Callable[[str], list[str]]
    is_full: bool = True
    most_users: int | None = None
    users: Callable[[ServedBundle], list[str]] | None = None
    user_column: str = "user_id"
    with_seen: bool = False
    popular: Callable[[ServedBundle], Sequence[str]] | None = None
    measure: Callable[[Lists, Path, ServedBundle], dict[str, dict[str, float]]] | None = None
