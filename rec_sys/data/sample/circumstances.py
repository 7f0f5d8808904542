"""The facts of a purchase as a reviewer would put them: the product, what it is compared with, what is to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rec_sys.data.sample.catalogue import Catalogue, Product
from rec_sys.data.sample.grammar import Draws
from rec_sys.data.sample.vocabulary import Family, Kind, Vocabulary

_AFTER_GOOD: Final = ("two", "three", "four", "six", "eight"), ("weeks", "months")
_AFTER_BAD: Final = ("a week", "one month", "one day", "a month", "two weeks", "three days", "five days", "two days")
_LATER: Final = ("half a year", "a full year", "ten months", "a year and a bit")


@dataclass(frozen=True)
class Occasion:
    """One review to be written."""

    user: int
    time: int
    stage: int
    level: float
    product: int
    stars: int
    fit: float  # of the product's style to the user's genre, from -0.5 to 0.5
    genre: int
    is_own: bool  # bought for what the user plays, not for somebody else
    wish: int | None  # the kind of product the user has set their heart on
    is_arrival: bool  # among the first purchases of a later stage of life
    earlier: Sequence[int]  # products bought before, oldest first


class Circumstances:
    """Facts of a purchase, by the names that the grammar's slots have."""

    def __init__(self, catalogue: Catalogue, vocabulary: Vocabulary) -> None:
        self._products = catalogue.products
        self._vocabulary = vocabulary
        self._genre_names = list(vocabulary.genres)
        self._product_facts = [_product_facts(product) for product in catalogue.products]
        self._wishes = [_wish(family, kind) for family in vocabulary.families.values() for kind in family.kinds]

    def of(self, occasion: Occasion, draws: Draws) -> dict[str, str]:
        """All facts of an occasion, those about the user's person apart."""
        facts = dict(self._product_facts[occasion.product])
        if occasion.stars >= 3:
            facts["duration"] = " ".join(draws.pick(words) for words in _AFTER_GOOD)
        else:
            facts["duration"] = draws.pick(_AFTER_BAD)
        facts["later"] = draws.pick(_LATER)
        if occasion.wish is not None:
            facts["wished"] = self._wishes[occasion.wish]
        return facts | self._music(occasion, draws) | self._company(occasion)

    def _music(self, occasion: Occasion, draws: Draws) -> dict[str, str]:
        """How the product suits the user's music."""
        product = self._products[occasion.product]
        sound = self._vocabulary.families[product.family].sound
        facts = {"wrong_music" if occasion.fit < 0 else "right_music": "{music}"}
        if product.style is None or sound == "none":
            return facts
        if occasion.fit > 0:
            facts["fit"] = draws.pick(self._vocabulary.sound[sound][self._genre_names[occasion.genre]])
        else:
            style = self._vocabulary.genres[product.style]
            facts["trait"] = draws.pick(style.traits)
            facts["other_music"] = draws.pick(style.scenes).music
        return facts

    def _company(self, occasion: Occasion) -> dict[str, str]:
        """The latest product of the same family that the user owns, and the latest one that goes with it."""
        product = self._products[occasion.product]
        families = self._vocabulary.families
        facts: dict[str, str] = {}
        for index in occasion.earlier:
            other = self._products[index]
            if other.family == product.family:
                name = other.model if other.brand == product.brand else other.noun
                facts |= {"owned": f"{other.brand} {name}", "is_owned": "are" if other.plural else "is"}
            elif other.family in families[product.family].leads_to or product.family in families[other.family].leads_to:
                facts["pair"] = f"{other.brand} {other.noun}"
        return facts


def _product_facts(product: Product) -> dict[str, str]:
    """A product in a reviewer's words, with the grammar of one or of many."""
    many = product.plural
    facts = {
        "brand": product.brand,
        "model": product.model,
        "thing": product.noun,
        "things": product.nouns,
        "a_thing": f"new {product.noun}" if many else f"a {product.noun}",
        "this": "these" if many else "this",
        "This": "These" if many else "This",
        "it": "they" if many else "it",
        "them": "them" if many else "it",
        "is": "are" if many else "is",
        "has": "have" if many else "has",
        "one": "ones" if many else "one",
        "price": f"${product.price:.0f}",
    }
    if product.tier >= 2:
        facts["high_price"] = facts["price"]
    if product.kind.spec:
        facts["spec"] = product.kind.spec
    return facts


def _wish(family: Family, kind: Kind) -> str:
    """How somebody speaks of a kind of product they do not have yet."""
    if kind.plural_noun or (family.plural_noun and not kind.noun):
        words = kind.nouns or family.nouns
        return f"{words}, {kind.spec} [maybe|probably]" if kind.spec else f"[some|good|new] {words}"
    one = family.nouns.removesuffix("es" if family.nouns.endswith("sses") else "s")
    return f"a [good|decent|nice] {kind.noun or one}"
