"""Errors for the user stay what they are on their way from another process."""

import pickle

import pytest

from rec_sys.contracts import InputError
from rec_sys.inference.contract import RequestError, ServingUnavailable, UnknownUserError


@pytest.mark.parametrize(
    "error",
    [
        InputError("wrong", where="line 3", remedy="mend it"),
        UnknownUserError("nobody", where="users", remedy="ask for others"),
        RequestError("wrong", field="reviews[3].rating", remedy="mend it"),
        ServingUnavailable("away", component="index", where="the index", remedy="ask again", retry_after=2.5),
    ],
)
def test_an_error_is_whole_after_pickling(error: InputError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
