"""Packing: no token lost or repeated, documents numbered, the loss of a row is that of its documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from topiclab.minillm import network
from topiclab.minillm.data.packing import IGNORED, pack
from topiclab.minillm.data.tokenizer import END_OF_TEXT
from topiclab.minillm.network import MiniLLM, Shape

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)


def documents_of(sizes):
    """Make documents whose tokens are all different, from 16 on."""
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return (np.arange(offsets[-1]) + 16).astype(np.uint16), offsets


def everything(sizes, length, mode, *, seed=0, epoch=0, **options):
    ids, offsets = documents_of(sizes)
    packing = pack(
        ids, offsets, np.arange(len(sizes)), length=length, mode=mode, seed=seed, epoch=epoch, **options
    )
    return ids, offsets, packing, packing.rows(np.arange(packing.num_rows))


@settings(max_examples=300, deadline=None)
@given(SIZES, st.integers(2, 24), st.integers(0, 5), st.sampled_from(["stream", "bestfit"]))
def test_every_token_is_told_once(sizes, length, seed, mode):
    ids, _, packing, rows = everything(sizes, length, mode, seed=seed)
    told = rows.labels[:, 1:]
    assert sorted(told[told > END_OF_TEXT].tolist()) == ids.tolist()
    assert packing.kept == 1
    assert packing.fill == pytest.approx((told != IGNORED).mean())
    if mode == "stream":  # and every end token, with less than a row of padding
        assert (told == END_OF_TEXT).sum() == np.count_nonzero(sizes)
        assert (told == IGNORED).sum() < length
    else:
        assert (rows.ids[:, 0] == END_OF_TEXT).all()
        assert ((told == IGNORED).any(axis=1)).sum() <= 1


@settings(max_examples=300, deadline=None)
@given(
    SIZES, st.integers(2, 24), st.integers(0, 5), st.sampled_from(["stream", "bestfit", "pad"]), st.booleans()
)
def test_documents_number_their_tokens(sizes, length, seed, mode, has_separator):
    _, offsets, packing, rows = everything(sizes, length, mode, seed=seed, has_separator=has_separator)
    assert (rows.documents[:, 0] == 0).all()
    assert np.isin(np.diff(rows.documents, axis=1), [0, 1]).all()
    assert packing.fill == pytest.approx((rows.labels[:, 1:] != IGNORED).mean())
    is_text = rows.ids > END_OF_TEXT
    source = np.where(is_text, np.searchsorted(offsets, rows.ids.astype(np.int64) - 16, side="right"), -1)
    for row in range(packing.num_rows):
        is_padding = rows.labels[row] == IGNORED
        assert (np.diff(is_padding[1:].astype(int)) >= 0).all()  # padding is at the end only
        for number in range(rows.documents[row].max() + 1):
            cells = np.flatnonzero(rows.documents[row] == number)
            found = rows.ids[row, cells][is_text[row, cells]].astype(np.int64)
            assert len(set(source[row, cells][is_text[row, cells]])) <= 1
            assert (np.diff(found) == 1).all()
            assert is_padding[cells].all() or not is_padding[cells].any()


def test_pad_gives_each_document_a_row():
    ids, _, packing, rows = everything([3, 0, 9], 5, "pad")
    shown = sorted(row.tolist() for row in rows.ids)
    assert shown == [[0, *ids[:3], 0, 0], [0, *ids[3:8]]]
    assert packing.kept == pytest.approx(8 / 12)
    assert packing.fill == pytest.approx(9 / 10)


def test_a_conversation_that_fits_is_not_cut():
    sizes = [7, 5, 4, 3, 8, 20, 2]
    ids, offsets, _, rows = everything(sizes, 9, "bestfit", has_separator=False)
    for row in range(len(sizes)):
        if sizes[row] > 10:
            continue
        written = ids[offsets[row] : offsets[row + 1]].tolist()
        assert sum(str(written)[1:-1] in str(line.tolist()) for line in rows.ids) == 1


def test_only_targets_have_labels():
    ids, offsets = documents_of([6, 4])
    is_target = ids % 2 == 0
    rows = pack(
        ids, offsets, np.arange(2), length=11, mode="stream", seed=0, has_separator=False, is_target=is_target
    ).rows(np.arange(1))
    told = rows.labels[:, 1:]
    assert sorted(told[told != IGNORED]) == [number for number in ids if number % 2 == 0]


def test_an_epoch_is_its_seed_and_number():
    sizes = np.random.default_rng(0).integers(1, 60, 200)
    for mode in ("stream", "bestfit", "pad"):
        one, again, other = (everything(sizes, 32, mode, seed=3, epoch=epoch)[3].ids for epoch in (1, 1, 2))
        assert (one == again).all()
        assert one.shape != other.shape or (one != other).any()
    _, _, packing, rows = everything(sizes, 32, "stream")
    some = packing.rows(np.array([5, 2, 5]))
    assert (some.ids == rows.ids[[5, 2, 5]]).all()
    assert (some.documents == rows.documents[[5, 2, 5]]).all()


def test_chosen_documents_only():
    ids, offsets = documents_of([5, 6, 7])
    rows = pack(ids, offsets, np.array([2, 0]), length=8, mode="bestfit", seed=0)
    told = rows.rows(np.arange(rows.num_rows)).labels[:, 1:]
    assert sorted(told[told > 0].tolist()) == [*range(16, 21), *range(27, 34)]


@pytest.mark.parametrize(
    ("sizes", "mode", "told"), [([0, 0], "stream", "none of the documents"), ([3], "bin", "packing=bin")]
)
def test_refusals_name_the_way_out(sizes, mode, told):
    with pytest.raises(ValueError, match=told):
        everything(sizes, 8, mode)


def test_a_masked_row_costs_what_its_documents_cost():
    assert network.IGNORED == IGNORED
    torch.manual_seed(0)
    shape = Shape(256, 32, 2, 2, 1, 16, 64, 64, 1e4, 1e-6, True)
    model = MiniLLM(shape).eval()
    sizes = [9, 4, 12, 3]
    _, offsets, packing, rows = everything(sizes, 64, "bestfit")
    assert packing.num_rows == 1

    def nats(ids, labels, documents=None):
        with torch.no_grad():
            hidden = model(ids[:, :-1], documents=None if documents is None else documents[:, :-1])
            return model.nll(hidden, labels[:, 1:]).sum().item()

    ids = torch.from_numpy(rows.ids.astype(np.int64))
    packed = nats(ids, torch.from_numpy(rows.labels), torch.from_numpy(rows.documents))
    alone = 0.0
    for row in range(len(sizes)):
        text = torch.arange(offsets[row], offsets[row + 1]) + 16
        unit = torch.cat([torch.tensor([END_OF_TEXT]), text, torch.tensor([END_OF_TEXT])])[None]
        alone += nats(unit, unit)
    assert packed == pytest.approx(alone, abs=1e-4)
    assert abs(nats(ids, torch.from_numpy(rows.labels)) - alone) > 1e-3
