"""Reviews that are sent, cleaned together: each keeps its own words, in its own place."""

from rec_sys.inference.contract import Review
from rec_sys.inference.review_intake import checked
from rec_sys.settings import InferenceSettings


def test_markup_is_taken_off_each_review_where_it_stands() -> None:
    sent = [
        Review(asin="a", text="Plain"),
        Review(asin="b", title="<b>Bold</b>", text=None),
        Review(asin="c", title=None, text="Two<br />lines &amp; more "),
        Review(asin="d", title="Plain too"),
        Review(asin="e", title=" ", text="<i></i>"),
    ]
    found = checked(sent, InferenceSettings(), (1, 5))
    assert [one.asin for one in found] == ["a", "b", "c", "d", "e"]
    told = [(one.title, one.text) for one in found]
    assert told[:4] == [(None, "Plain"), ("Bold", None), (None, "Two lines & more"), ("Plain too", None)]
    assert found[0] is sent[0]
    # What is cleaned alone is cleaned alike.
    assert told == [(one.title, one.text) for review in sent for one in checked([review], InferenceSettings(), (1, 5))]
