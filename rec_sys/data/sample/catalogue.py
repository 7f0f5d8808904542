"""The products: what is shown of them, and what only the generator knows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from rec_sys.contracts import MILLISECONDS_A_DAY, ProductColumn
from rec_sys.data.sample.grammar import Draws, Grammar
from rec_sys.data.sample.randomness import Floats, Integers, RandomStream
from rec_sys.data.sample.vocabulary import Family, Kind, Vocabulary
from rec_sys.data.sample.voice import tidy

START: Final = 1_546_300_800_000  # 2019-01-01 UTC, milliseconds
END: Final = 1_672_531_200_000  # 2023-01-01 UTC, milliseconds
NEUTRAL: Final = -1  # the style of a product that suits any music

_LATE_DAYS = 120  # what is released within this time of the end is cold: hardly anybody reviewed it
_LEVEL_WORDS = ("entry-level", "well-made", "professional", "boutique")


@dataclass(frozen=True)
class Product:
    """One product as the writer needs it; `noun` and its like are a reviewer's words."""

    family: str
    kind: Kind
    brand: str
    model: str
    title: str
    style: str | None
    tier: int
    price: float
    noun: str
    nouns: str
    plural: bool
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """All products, in the order of `frame`; arrays are [num_products] unless said otherwise."""

    frame: pl.DataFrame
    products: tuple[Product, ...]
    family: Integers
    kind: Integers  # index over the kinds of all families
    kind_family: Integers  # [num_kinds]
    brand: Integers
    style: Integers  # index of a genre, or NEUTRAL
    style_weight: Floats
    level: Floats
    tier: Integers
    gift: Floats
    quality: Floats  # standard normal: how good it is for anybody
    aspect_quality: tuple[Floats, ...]  # a product: how good each of its family's aspects is
    popularity: Floats  # added to every utility
    release: Integers  # milliseconds; before it nobody can buy the product


def build_catalogue(num_products: int, seed: int, vocabulary: Vocabulary) -> Catalogue:
    """Invents a catalogue; families, kinds, tiers and brands are cycled through until there are enough products."""
    stream = RandomStream(seed, 1)
    families = list(vocabulary.families.items())
    counts = _seats(np.array([family.weight for _, family in families]), num_products)
    members = [
        (name, family.kinds[j % len(family.kinds)], j // len(family.kinds))
        for (name, family), count in zip(families, counts, strict=True)
        for j in range(count)
    ]
    members = [members[i] for i in stream.order(num_products)]  # the order must not tell the family
    draws = Draws(stream.uniform(num_products * 64).tolist())
    taken: set[str] = set()
    products = tuple(_product(vocabulary, *member, draws, taken) for member in members)
    return _with_hidden_values(products, stream, draws, vocabulary)


def _with_hidden_values(
    products: tuple[Product, ...], stream: RandomStream, draws: Draws, vocabulary: Vocabulary
) -> Catalogue:
    num_products = len(products)
    kinds = [(name, kind) for name, family in vocabulary.families.items() for kind in family.kinds]
    kind_index = {(name, kind.name): index for index, (name, kind) in enumerate(kinds)}
    family_index = {name: index for index, name in enumerate(vocabulary.families)}
    genre_index = {name: index for index, name in enumerate(vocabulary.genres)}
    brand_index = {name: index for index, name in enumerate(vocabulary.brands)}
    families = [vocabulary.families[product.family] for product in products]
    quality = stream.normal(num_products)
    noise = stream.normal(num_products, max(len(family.aspects) for family in vocabulary.families.values()) + 1)
    levels = [f.level if p.kind.level is None else p.kind.level for p, f in zip(products, families, strict=True)]
    return Catalogue(
        frame=_frame(products, stream, draws, vocabulary),
        products=products,
        family=np.array([family_index[product.family] for product in products]),
        kind=np.array([kind_index[product.family, product.kind.name] for product in products]),
        kind_family=np.array([family_index[name] for name, _ in kinds]),
        brand=np.array([brand_index[product.brand] for product in products]),
        style=np.array([NEUTRAL if product.style is None else genre_index[product.style] for product in products]),
        style_weight=np.array([family.style_weight for family in families]),
        level=np.array(levels),
        tier=np.array([product.tier for product in products]),
        gift=np.array([family.gift for family in families]),
        quality=quality,
        aspect_quality=tuple(
            0.6 * quality[i] + 0.8 * noise[i, : len(family.aspects) + 1] for i, family in enumerate(families)
        ),
        popularity=0.4 * stream.normal(num_products),
        release=_releases(num_products, stream),
    )


def _seats(weights: Floats, num_products: int) -> list[int]:
    """Share products out to families like seats in a parliament (Sainte-Lague): fair for 24 and for 24,000."""
    most = int(np.ceil(num_products * weights.max() / weights.sum())) + 2
    quotients = weights[:, None] / (2 * np.arange(most) + 1)
    first = np.argsort(-quotients, axis=None, kind="stable")[:num_products]
    return [int(count) for count in np.bincount(first // most, minlength=len(weights))]


def _product(vocabulary: Vocabulary, name: str, kind: Kind, copy: int, draws: Draws, taken: set[str]) -> Product:
    family = vocabulary.families[name]
    tiers = range(kind.min_tier, kind.max_tier + 1)
    # Copies of a kind walk through the tiers from a random one, so that each kind has cheap and dear products.
    tier = tiers[(2 * copy + int(draws.uniform() * len(tiers))) % len(tiers)]
    style = kind.styles[copy % len(kind.styles)] if kind.styles else None
    brand = _brand(vocabulary, family.domain, tier, style, draws)
    model = _model(vocabulary, family.domain, f"{brand} {name}", draws, taken)
    price = family.prices[tier] * (0.8 + 0.4 * draws.uniform())
    noun = kind.noun or family.noun
    plural_noun = kind.plural_noun or (None if kind.noun else family.plural_noun)
    return Product(
        family=name,
        kind=kind,
        brand=brand,
        model=model,
        title=f"{brand} {model} {kind.title}",
        style=style,
        tier=tier,
        price=round(price) - 0.01 if price < 60 else 5 * round(price / 5) - 0.01,
        noun=plural_noun or noun,
        nouns=kind.nouns or family.nouns,
        plural=plural_noun is not None,
        variants=_variants(family, draws),
    )


def _brand(vocabulary: Vocabulary, domain: str, tier: int, style: str | None, draws: Draws) -> str:
    names = vocabulary.domains[domain]
    brands = [vocabulary.brands[name] for name in names]
    weights = np.array([np.exp(-1.5 * abs(b.tier - tier)) * (4.0 if style in b.genres else 1.0) for b in brands])
    return names[int(np.searchsorted(np.cumsum(weights), draws.uniform() * weights.sum(), side="right"))]


def _model(vocabulary: Vocabulary, domain: str, owner: str, draws: Draws, taken: set[str]) -> str:
    names = vocabulary.models[domain]
    first = int(draws.uniform() * len(names))
    number = 0
    while True:
        suffix = f" {100 * (number // len(names))}" if number >= len(names) else ""
        model = names[(first + number) % len(names)] + suffix
        if f"{owner} {model}" not in taken:
            taken.add(f"{owner} {model}")
            return model
        number += 1


def _variants(family: Family, draws: Draws) -> tuple[str, ...]:
    """JSON objects of the versions on sale, as `style` holds them; empty where there is but one."""
    if not family.variants:
        return ()
    key = draws.pick(tuple(family.variants))
    values = family.variants[key]
    first = int(draws.uniform() * len(values))
    return tuple(f'{{"{key}": "{values[(first + i) % len(values)]}"}}' for i in range(min(3, len(values))))


def _releases(num_products: int, stream: RandomStream) -> Integers:
    """When each product came out: most before the first review, a few in the last months, some only after the end.

    At least the share on sale from the start is fixed, so that no user ever runs out of things to buy.
    """
    span, late = END - START, MILLISECONDS_A_DAY * _LATE_DAYS
    order = stream.order(num_products)
    within = stream.uniform(num_products)
    num_never, num_late = max(1, round(0.025 * num_products)), max(1, round(0.05 * num_products))
    never, recent = order[:num_never], order[num_never : num_never + num_late]
    begun = order[num_products - round(0.7 * num_products) :]
    release = START + within * (span - late)
    release[begun] = START - within[begun] * span
    release[recent] = END - late + 0.6 * late * within[recent]
    release[never] = END + within[never] * late
    return np.asarray(release, dtype=np.int64)


def _frame(products: tuple[Product, ...], stream: RandomStream, draws: Draws, vocabulary: Vocabulary) -> pl.DataFrame:
    grammar = Grammar(vocabulary.phrases)
    asins = stream.identifiers("B0", np.full(len(products), 10))
    families = [vocabulary.families[product.family] for product in products]
    return pl.DataFrame(
        {
            ProductColumn.ASIN: asins,
            ProductColumn.TITLE: [product.title for product in products],
            ProductColumn.BRAND: [product.brand for product in products],
            ProductColumn.CATEGORIES: [["Musical Instruments", *family.categories] for family in families],
            ProductColumn.PRICE: pl.Series([product.price for product in products], dtype=pl.Float32),
            "features": [_features(p, f, draws) for p, f in zip(products, families, strict=True)],
            "description": [_description(product, vocabulary, grammar, draws) for product in products],
        }
    )


def _features(product: Product, family: Family, draws: Draws) -> list[str]:
    first = int(draws.uniform() * len(family.features))
    count = 2 + int(draws.uniform() * 2)
    return [*product.kind.features, *(family.features[(first + i) % len(family.features)] for i in range(count))]


def _description(product: Product, vocabulary: Vocabulary, grammar: Grammar, draws: Draws) -> str:
    wants = {name: role.wants.get(product.family, 0.0) for name, role in vocabulary.roles.items()}
    roles = product.kind.roles or tuple(name for name in wants if wants[name] >= 0.5 * max(wants.values()))
    facts = {
        "brand": product.brand,
        "model": product.model,
        "a_kind": f"{'' if product.plural else 'a '}{_LEVEL_WORDS[product.tier]} {product.noun}",
        "role_word": vocabulary.roles[draws.pick(roles)].play[0],
    }
    if product.style is None:
        text = grammar.expand("description_plain", facts, draws)
    else:
        facts["selling"] = draws.pick(vocabulary.genres[product.style].selling)
        text = grammar.expand("description", facts, draws)
    return tidy(f"{text} {grammar.expand('description_tail', facts, draws)}")
