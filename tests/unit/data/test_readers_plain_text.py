"""Shop markup becomes what a person reads."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.raw_files.plain_text import count_unread_prices, plain_text, prices


def _plain(text: str | None) -> str | None:
    # A second row keeps the whole-column shortcuts honest.
    found = plain_text(pl.Series("text", [text, "as it is"], dtype=pl.String)).to_list()
    assert found[1] == "as it is"
    return str(found[0]) if found[0] is not None else None


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("It&#39;s &#34;fine&#34;<br />and loud", 'It\'s "fine" and loud'),
        ('<a data-hook="link" href="http://x/y">The cable</a> hums', "The cable hums"),
        ("<b>bold</b>ly", "boldly"),
        ("caf&eacute; &amp; bar", "café & bar"),
        ("&lt;br&gt;twice &amp;amp; escaped", "twice & escaped"),
        ("<style>.a{color:red}</style>A tuner<script>var a = '<b>';</script>", "A tuner"),
        ('<div id="v"></div><input type="hidden" value="https://x/1.mp4" class="video-url">&nbsp;Great', "Great"),
        ("[[VIDEOID:abc123]]Watch [[ASIN:B0002E1G5C Shure SM58 microphone]] work", "Watch Shure SM58 microphone work"),
        ("line one\nline two\t end ", "line one line two end"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("no\u00a0break", "no break"),
    ],
)
def test_markup_is_taken_off(raw: str, read: str) -> None:
    assert _plain(raw) == read


@pytest.mark.parametrize(
    "text",
    [
        "I <3 this amp",
        "a < b and c > d",
        "mail <me@home.org>",
        "rock&roll AT&T B&H",
        "R&D; no entity",
        "😀🎸🎸",
        "#1 & only",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert _plain(text) == text


@pytest.mark.parametrize("blank", [None, "", "   ", "\n\t", "<br />", "&nbsp;", "\x00"])
def test_blank_texts_are_null(blank: str | None) -> None:
    assert _plain(blank) is None


def test_a_long_text_is_kept_whole() -> None:
    text = "strings " * 12_500
    assert _plain(text) == text.strip()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("<>&;#[] \n"), max_size=40))
def test_no_text_comes_out_blank_or_untidy(text: str) -> None:
    plain = _plain(text)
    if plain is not None:
        assert plain == plain.strip()
        assert plain
        assert "  " not in plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$9.99", 9.99),
        ("$5.00 - $9.99", 5.0),
        ("from 8.49", 8.49),
        ("12,99 €", 12.99),
        ("1.299,00 €", 1299.0),
        ("1\u00a0299,00 €", 1299.0),
        ("CHF 1’299.-", 1299.0),
        ("₹1,234", 1234.0),
        ("₹1,00,000.50", 100_000.5),
        ("¥2,000", 2000.0),
        ("USD 9.99", 9.99),
        ("12.5 EUR", 12.5),
        ("5 Euro", 5.0),
        ("500 руб.", 500.0),
        ("199,-", 199.0),
        ("12-15 zł", 12.0),
        ("$12.99 $15.99", 12.99),
        ("$.99", 0.99),
        ("99¢", 0.99),
    ],
)
def test_the_worlds_usual_prices_are_read(text: str, expected: float) -> None:
    assert prices(pl.Series([text, None])).to_list() == [pytest.approx(expected), None]


def test_what_is_no_price_is_counted_and_null() -> None:
    texts = pl.Series([".a-box-inner{background:#fff} $5", "Free", "12 m", "- $5", "0.00", "1,234.5,6"])
    read = prices(texts)
    assert read.null_count() == len(texts)
    assert count_unread_prices(texts, read) == {"prices that cannot be read": len(texts)}
    nothing = pl.Series(["", " ", None, "$5"])
    assert count_unread_prices(nothing, prices(nothing)) == {}
