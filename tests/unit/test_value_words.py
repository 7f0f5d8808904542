"""What pydantic finds wrong is said in our words, one table for requests and settings."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from rec_sys.value_words import fault_in_words


class Message(BaseModel):
    model_config = {"extra": "forbid"}

    whole: int = Field(1, ge=1, le=5_000)
    number: float = Field(1, gt=0, lt=1.5, allow_inf_nan=False)
    truth: bool = True
    text: str = Field("a", min_length=1, max_length=2, pattern="a")
    listed: tuple[int, ...] = Field((), max_length=1)
    choice: Literal["a", "b"] = "a"
    needed: str = "a"
    part: "Message | None" = None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"whole": "x"}, "whole takes a whole number"),
        ({"whole": 1.5}, "whole takes a whole number"),
        ({"whole": 0}, "whole takes a number, at least 1"),
        ({"whole": 6_000}, "whole takes a number, at most 5,000"),
        ({"whole": None}, "whole takes a whole number"),
        ({"number": 0}, "number takes a number, above 0"),
        ({"number": 2}, "number takes a number, below 1.5"),
        ({"number": "x"}, "number takes a number"),
        ({"number": "nan"}, "number takes a number that is neither infinite nor NaN"),
        ({"truth": "perhaps"}, "truth takes true or false"),
        ({"text": 5}, "text takes a text"),
        ({"text": ""}, "text takes a text of length at least 1"),
        ({"text": "aaa"}, "text takes a text of length at most 2"),
        ({"text": "b"}, "text takes a text matching a"),
        ({"listed": 5}, "listed takes a list"),
        ({"listed": [1, 2]}, "listed takes a list of length at most 1"),
        ({"choice": "c"}, "choice takes 'a' or 'b'"),
        ({"other": 1}, "there is no field other here"),
        ({"part": 5}, "part takes an object of fields"),
        ([], "whole takes an object of fields"),
    ],
)
def test_a_fault_is_said_in_our_words(given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Message.model_validate(given)
    fault = caught.value.errors()[0]
    assert fault_in_words(fault, ".".join(map(str, fault["loc"])) or "whole") == said


def test_what_is_missing_is_said() -> None:
    class Needed(BaseModel):
        asin: str

    with pytest.raises(ValidationError) as caught:
        Needed.model_validate({})
    assert fault_in_words(caught.value.errors()[0], "asin") == "asin is missing"
