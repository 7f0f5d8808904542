"""The sparse and the dense form of attention are one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.modules.review_attention import EdgeTerm, ReviewAttention

CONVOLUTIONS = ["transformer_conv", "gat"]
DIM = 12


@settings(max_examples=30)
@given(
    st.sampled_from(CONVOLUTIONS),
    st.integers(0, 10_000),
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.sampled_from([1, 2, 3]),
)
def test_both_forms_agree_whatever_the_lengths(convolution: str, seed: int, lengths: list[int], num_heads: int) -> None:
    torch.manual_seed(seed)
    attention = ReviewAttention(DIM, num_heads, convolution).eval()
    batch, longest = len(lengths), max(1, *lengths)
    source, edge = torch.randn(2, batch, longest, DIM)
    destination = torch.randn(batch, DIM)
    mask = (torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)).float()
    row, place = mask.nonzero(as_tuple=True)
    # Distinct sources in another order than the edges, as when users share products.
    shuffled = torch.randperm(len(row))
    source_of_edge = torch.empty_like(shuffled)
    source_of_edge[shuffled] = torch.arange(len(row))
    with torch.inference_mode():
        sparse = attention(source[row, place][shuffled], source_of_edge, edge[row, place], destination, row)
        # What stands in the padding must not matter.
        padding = (1 - mask).unsqueeze(-1) * 1e3
        dense, weights = attention.attend_densely(source + padding, edge + padding, destination, mask)
    assert sparse.shape == dense.shape == (batch, DIM)
    torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-5)
    some = torch.tensor(lengths) > 0
    torch.testing.assert_close(weights.sum(dim=1), some.float(), atol=1e-6, rtol=0)
    assert (weights[mask == 0] == 0).all()
    assert (dense[~some] == 0).all()


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_a_review_decides_the_weights_and_the_message(convolution: str) -> None:
    torch.manual_seed(0)
    attention = ReviewAttention(DIM, 2, convolution).eval()
    source, edge, destination = torch.randn(1, 3, DIM), torch.randn(1, 3, DIM), torch.randn(1, DIM)
    with torch.inference_mode():
        attended, weights = attention.attend_densely(source, edge, destination, torch.ones(1, 3))
        other, other_weights = attention.attend_densely(source, edge.flip(1), destination, torch.ones(1, 3))
    assert (attended - other).abs().max() > 1e-2
    assert (weights - other_weights).abs().max() > 1e-2


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_large_logits_do_not_overflow(convolution: str) -> None:
    torch.manual_seed(0)
    attention = ReviewAttention(DIM, 2, convolution).eval()
    source, edge, destination = torch.randn(2, 3, DIM) * 1e3, torch.randn(2, 3, DIM) * 1e3, torch.randn(2, DIM) * 1e3
    mask = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    with torch.inference_mode():
        attended, weights = attention.attend_densely(source, edge, destination, mask)
    assert attended.isfinite().all()
    torch.testing.assert_close(weights.sum(dim=1), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_both_forms_have_the_same_gradients(convolution: str) -> None:
    torch.manual_seed(0)
    attention = ReviewAttention(DIM, 3, convolution)
    source, edge, destination = torch.randn(2, 3, DIM), torch.randn(2, 3, DIM), torch.randn(2, DIM)
    mask = torch.tensor([[1.0, 1, 1], [1, 0, 0]])
    row, place = mask.nonzero(as_tuple=True)
    sparse = attention(source[row, place], torch.arange(4), edge[row, place], destination, row)
    dense, _ = attention.attend_densely(source, edge, destination, mask)
    # PyG makes a projection of the destination that it does not use without a root weight.
    parameters = [weight for name, weight in attention.named_parameters() if "lin_skip" not in name]
    of_sparse = torch.autograd.grad(sparse.square().sum(), parameters)
    of_dense = torch.autograd.grad(dense.square().sum(), parameters)
    for ours, theirs in zip(of_sparse, of_dense, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 6), min_size=1, max_size=8), st.sampled_from([1, 2, 3]))
def test_one_query_over_shared_parts_is_the_same_convolution(seed: int, lengths: list[int], num_heads: int) -> None:
    torch.manual_seed(seed)
    attention = ReviewAttention(DIM, num_heads, "transformer_conv").eval()
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    tables = [torch.randn(4, DIM, requires_grad=True) for _ in range(4)]
    index = [torch.randint(0, 4, (len(row),)) for _ in range(3)]
    amount = torch.randn(len(row), 4)
    query = torch.randn(DIM, requires_grad=True)
    source = EdgeTerm(tables[0], index[0])
    terms = [EdgeTerm(tables[1], index[1]), EdgeTerm(tables[2], index[2]), EdgeTerm(tables[3], amount=amount)]
    pooled = attention.attend_by_terms(query, source, terms, row, len(lengths))
    edge = tables[1][index[1]] + tables[2][index[2]] + amount @ tables[3]
    plain = attention(tables[0], index[0], edge, query.expand(len(lengths), -1), row)
    torch.testing.assert_close(pooled, plain, atol=1e-5, rtol=1e-5)
    assert (pooled[torch.tensor(lengths) == 0] == 0).all()
    weights = [query, *tables, *(weight for weight in attention.parameters())]
    upstream = torch.randn_like(plain)
    found, expected = (
        torch.autograd.grad(form, weights, upstream, allow_unused=True, retain_graph=True) for form in (pooled, plain)
    )
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
