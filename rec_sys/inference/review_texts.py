"""What of a review is read as its text."""

from rec_sys.inference.contract import Review
from rec_sys.inference.served_bundle import ServedBundle


def join_text(review: Review) -> str | None:
    """A review as training reads it: headline, then body; None where both are missing or blank."""
    title, text = (review.title or "").strip(), (review.text or "").strip()
    if title and text and title[-1] not in ".!?":
        return f"{title}. {text}"
    return f"{title} {text}".strip() or None


def _said_of(asin: str, served: ServedBundle) -> str | None:
    """What is said of a product that came after the model: a review of it without words is read by these."""
    if asin in served.index_of or (product := served.written.get(asin)) is None:
        return None
    return ". ".join(filter(None, (product.title, product.brand, ", ".join(product.categories)))) or None


def texts_to_read(reviews: tuple[Review, ...], served: ServedBundle) -> tuple[dict[int, str], str]:
    """Texts by place; where this model cannot read new ones, none and the reason."""
    source = served.text_settings.source
    if source == "none":
        return {}, "this model reads no text"
    if source == "given":
        return {}, "the texts of this model were embedded elsewhere"
    texts = ((place, join_text(review) or _said_of(review.asin, served)) for place, review in enumerate(reviews))
    return {place: text for place, text in texts if text is not None}, ""
