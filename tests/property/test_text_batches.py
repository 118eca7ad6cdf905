"""Laws of batching by length."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.models.memory import BatchSize
from vlmaudit.models.text_batches import encode_by_length

LENGTHS = st.lists(st.integers(1, 77), max_size=60).map(lambda each: np.array(each, dtype=np.int64))


@given(LENGTHS, st.integers(1, 70))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths, size):
    batches = batches_of(lengths, size)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(lengths) // size)


@given(LENGTHS, st.integers(1, 70))
def test_no_text_is_batched_with_longer_ones_while_there_are_shorter(lengths, size):
    batches = batches_of(lengths, size)
    for shorter, longer in pairwise(batches):
        assert len(shorter) == size
        assert lengths[shorter].max() <= lengths[longer].min()


@given(LENGTHS, st.integers(1, 70), st.integers(1, 70))
def test_embeddings_come_back_in_the_order_of_the_texts(lengths, size, room):
    def encode(batch, longest):
        assert longest == lengths[batch].max()
        if len(batch) > room:
            raise MemoryError
        return np.stack([batch, lengths[batch]], axis=1)

    rows = encode_by_length(lengths, encode, batch_size=texts_a_batch(size), dim=2)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, 0], np.arange(len(lengths)))
    np.testing.assert_array_equal(rows[:, 1], lengths)


def texts_a_batch(size):
    return BatchSize(size, what="text", model="scripted:ada")


def batches_of(lengths, size):
    batches = []

    def encode(batch, _):
        batches.append(batch)
        return np.zeros((len(batch), 2))

    encode_by_length(lengths, encode, batch_size=texts_a_batch(size), dim=2)
    return batches
