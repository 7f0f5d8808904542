"""Three questions to a gateway, as lines for a shell, about users and products that its bundle knows."""

import json
import shlex
from typing import Final
from urllib.parse import quote, urlencode

from rec_sys.bundle import Bundle
from rec_sys.contracts import HistoryColumn, ProductColumn

_WITHOUT_ENCODER: Final = ("none", "given")
_REVIEW_TEXT: Final = "Exactly what I was looking for, and it sounds better than I had hoped."


def curl_lines(url: str, bundle: Bundle) -> list[str]:
    """One for a known user, one for reviews in the body, one for words (for a product, where no text is read)."""
    products = bundle.products().sort(ProductColumn.REVIEW_COUNT, descending=True, nulls_last=True)
    most_reviewed = products.row(0, named=True)
    # Somebody with a history worth reading: the most reviews, the first where several have as many.
    counts = bundle.histories().group_by(HistoryColumn.USER_ID, maintain_order=True).len()
    user_id = counts.sort("len", descending=True, maintain_order=True)[HistoryColumn.USER_ID][0]
    known = f"{url}/v1/users/{quote(user_id, safe='')}/recommendations?limit=3"
    reviews = [{"asin": asin, "rating": 5, "text": _REVIEW_TEXT} for asin in products.head(2)[ProductColumn.ASIN]]
    body = {"reviews": reviews, "limit": 3}
    if bundle.manifest.text_encoder in _WITHOUT_ENCODER:
        third = f"{url}/v1/products/{quote(most_reviewed[ProductColumn.ASIN], safe='')}/similar?limit=3"
    else:
        words = most_reviewed[ProductColumn.TITLE] or most_reviewed[ProductColumn.TEXT] or "something to play"
        third = f"{url}/v1/products/search?{urlencode({'q': words[:60], 'limit': 3})}"
    send = f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    return [
        f"curl -s {shlex.quote(known)}",
        f"curl -s {shlex.quote(f'{url}/v1/recommendations')} {send}",
        f"curl -s {shlex.quote(third)}",
    ]
