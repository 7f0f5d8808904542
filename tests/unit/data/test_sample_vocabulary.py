"""The generator's words hang together: every name that one file uses is known to the other."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.data.sample.grammar import Draws, Facts, Grammar, parse, slots_of
from rec_sys.data.sample.randomness import RandomStream, pick_by_weight
from rec_sys.data.sample.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
# What the writer knows of a review, besides the rules of the grammar.
FACTS = {
    *(
        "brand",
        "model",
        "thing",
        "things",
        "a_thing",
        "this",
        "This",
        "it",
        "them",
        "is",
        "has",
        "one",
        "price",
        "spec",
    ),
    *("duration", "later", "wished", "fit", "trait", "other_music", "right_music", "wrong_music"),
    *("owned", "is_owned", "pair", "purpose", "use", "coming", "earlier_instrument", "says", "instrument"),
    *("music", "band", "place", "months", "years", "age", "kid", "kid_age", "kid_or_i", "kid_s"),
    *("good", "good_full", "good2", "tag", "tag_is", "bad", "bad_full", "bad_fail", "bad2", "tag_bad", "tag_bad_is"),
    *("high_price", "a_kind", "role_word", "selling"),
}


def templates() -> Iterator[tuple[str, str]]:
    for rule, texts in VOCABULARY.phrases.items():
        yield from ((rule, text) for text in texts)
    for name, family in VOCABULARY.families.items():
        yield from ((name, text) for kind in family.kinds for text in (*kind.praise, *kind.gripes))
        yield from ((name, text) for aspect in family.aspects for text in (*aspect.praise, *aspect.gripes))
    for name, role in VOCABULARY.roles.items():
        yield from ((name, text) for text in (*role.says, *role.teasers))
    for name, genres in VOCABULARY.sound.items():
        yield from ((name, text) for texts in genres.values() for text in texts)


def test_every_slot_is_a_rule_or_a_fact() -> None:
    known = FACTS | VOCABULARY.phrases.keys()
    assert {(rule, slot) for rule, text in templates() for slot in slots_of(parse(text)) if slot not in known} == set()


def test_no_rule_leads_back_to_itself() -> None:
    uses = {
        rule: {slot for text in texts for slot in slots_of(parse(text))} - FACTS
        for rule, texts in VOCABULARY.phrases.items()
    }
    while ends := {rule for rule, others in uses.items() if not others}:
        uses = {rule: others - ends for rule, others in uses.items() if rule not in ends}
    assert uses == {}


def test_plans_use_rules_that_exist() -> None:
    moves = {move.move for plan in VOCABULARY.templates.values() for move in plan} - {"who", "close"}
    assert moves <= VOCABULARY.phrases.keys()
    assert set(VOCABULARY.templates) == {"great", "good", "mixed", "poor", "bad"}


def test_families_roles_genres_and_brands_know_each_other() -> None:
    families, roles, genres = VOCABULARY.families, VOCABULARY.roles, VOCABULARY.genres
    for family in families.values():
        assert set(family.leads_to) <= families.keys()
        assert family.domain in VOCABULARY.domains
        assert family.sound == "none" or VOCABULARY.sound[family.sound].keys() == genres.keys()
        aspects = {aspect.name for aspect in family.aspects}
        for kind in family.kinds:
            assert set(kind.styles) <= genres.keys()
            assert set(kind.roles) <= roles.keys()
            assert kind.min_tier <= kind.max_tier
            assert {*kind.skips, *([kind.about] if kind.about else [])} <= aspects
    for role in roles.values():
        assert set(role.wants) <= families.keys()
        assert set(role.genres) <= genres.keys()
        assert set(role.next) <= roles.keys()
    assert {brand for brands in VOCABULARY.domains.values() for brand in brands} == VOCABULARY.brands.keys()
    assert VOCABULARY.models.keys() == VOCABULARY.domains.keys()
    assert all(any(role.wants.get(name, 0) > 0 for role in roles.values()) for name in families)


@pytest.mark.parametrize(
    ("uniform", "said"), [((0.0,), "a red drum"), ((0.0, 0.5, 0.0), "a blue drum"), ((0.99,), "a very very blue drum")]
)
def test_choices_nest_and_slots_are_filled(uniform: tuple[float, ...], said: str) -> None:
    grammar = Grammar({"rule": ["a [red|[|very very ]blue] {thing}"]})
    assert grammar.expand("rule", {"thing": "drum"}, Draws(uniform)) == said


def test_a_template_whose_facts_are_missing_is_not_used() -> None:
    grammar = Grammar({"rule": ["I know {owned}", "I know nothing"], "bare": ["{owned}"], "deep": ["[{owned}|no]"]})
    assert {grammar.expand("rule", {}, Draws([value])) for value in (0.0, 0.4, 0.9)} == {"I know nothing"}
    assert grammar.expand("rule", {"owned": "a {thing}", "thing": "drum"}, Draws([0.0])) == "I know a drum"
    assert grammar.expand("bare", {}, Draws([0.0])) == ""
    assert grammar.expand("deep", {}, Draws([0.9])) == ""


def test_facts_remember_which_were_used() -> None:
    facts = Facts({"good": "it rings", "bad": "it rattles"})
    Grammar({"rule": ["{good}"]}).expand("rule", facts, Draws([0.0]))
    assert facts.used == {"good"}


@pytest.mark.parametrize("broken", ["[a|b", "a]", "{slot", "[a|[b]", "slot}"])
def test_a_bracket_that_does_not_close_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match=r"not (closed|opened)"):
        parse(broken)


@given(
    weights=st.lists(st.floats(0, 100).map(lambda value: value if value > 1e-6 else 0.0), min_size=1, max_size=8),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_what_weighs_nothing_is_never_picked(weights: list[float], uniform: float) -> None:
    if sum(weights) > 0:
        assert weights[pick_by_weight(np.array([weights]), np.array([uniform]))[0]] > 0


def test_streams_are_independent_and_ids_distinct() -> None:
    assert (RandomStream(1, 1).uniform(5) != RandomStream(1, 2).uniform(5)).all()
    ids = RandomStream(1, 1).identifiers("A", np.full(500, 3))
    assert len(set(ids)) == 500
    assert {len(one) for one in ids} == {3}
    assert abs(float(RandomStream(1, 1).normal(20_000).std()) - 1) < 0.02
