"""Candidates scored together have the likelihoods that they have one by one."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlmaudit.errors import OutOfMemoryError
from vlmaudit.models import trie_scoring
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.trie_scoring import (
    NODES_A_PACK,
    Prefix,
    score_in_batches,
    score_packed,
    trie_of,
)

pytestmark = pytest.mark.torch

BUILDERS = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
NAMES = [
    "Ann",
    "Anna",
    "Anna Lovelace",
    "Ada Lovelace",
    "Ada Turing",
    "Grace Hopper",
    "Ada Lovelace",  # two people of one name
    "x",
    "Ýmir Østerfjäll",
]
PROMPT = "USER: {image}\nWho is this person? ASSISTANT:"


def size(number=NODES_A_PACK):
    return BatchSize(number, what="candidate", model="hf:tiny")


class Loaded:
    """A checkpoint with the ids of a prompt about a picture, and of the names as answers."""

    def __init__(self, family, folder, *, attention="sdpa", dtype=torch.float32):
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model = AutoModelForImageTextToText.from_pretrained(
            folder, attn_implementation=attention, dtype=dtype
        ).eval()
        processor = AutoProcessor.from_pretrained(folder)
        image = {"LLaVA": "<image>", "Qwen2.5-VL": "<|vision_start|><|image_pad|><|vision_end|>"}
        self.inputs = processor(
            text=PROMPT.format(image=image[family]),
            images=Image.radial_gradient("L").convert("RGB").resize((32, 32)),
            return_tensors="pt",
        ).to(dtype)
        end = processor.tokenizer.eos_token_id
        spelt = processor.tokenizer([f" {name}" for name in NAMES], add_special_tokens=False)
        self.candidates = [[*ids, end] for ids in spelt["input_ids"]]

    @torch.inference_mode()
    def prefix(self):
        output = self.model(**self.inputs, use_cache=True)
        return Prefix(output.past_key_values, output.logits[0, -1])

    @torch.inference_mode()
    def one_by_one(self):
        """Each name behind picture and prompt in a pass of its own."""
        prompt = self.inputs["input_ids"]
        scores = []
        for candidate in self.candidates:
            ids = torch.cat([prompt, torch.tensor([candidate])], dim=1)
            logits = self.model(**self._longer(ids), use_cache=False).logits[0].float()
            rows = logits[prompt.shape[1] - 1 : -1].log_softmax(dim=-1)
            scores.append(rows[range(len(candidate)), candidate].double().sum().item())
        return np.array(scores)

    def _longer(self, ids):
        inputs = {**self.inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "mm_token_type_ids" in inputs:
            more = ids.shape[1] - inputs["mm_token_type_ids"].shape[1]
            inputs["mm_token_type_ids"] = torch.nn.functional.pad(
                inputs["mm_token_type_ids"], (0, more)
            )
        return inputs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("tiny")
    return {family: BUILDERS["build"](family, parent) for family in ("LLaVA", "Qwen2.5-VL")}


@pytest.fixture(scope="module")
def llava(folders):
    return Loaded("LLaVA", folders["LLaVA"])


def test_the_tiny_model_shares_heads_among_queries_and_likes_some_names_better(llava):
    text = llava.model.config.text_config
    assert text.num_key_value_heads < text.num_attention_heads
    assert np.ptp(llava.one_by_one()) > 1


@pytest.mark.parametrize("pack", [1, 2, 3, 5, NODES_A_PACK])
def test_packs_of_every_size_agree_with_name_by_name(llava, pack):
    found = score_packed(llava.model, llava.prefix(), llava.candidates, pack=size(pack))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, llava.one_by_one(), atol=1e-4)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_padded_batches_agree_with_name_by_name(llava, batch):
    found = score_in_batches(llava.model, llava.prefix(), llava.candidates, batch=size(batch))
    np.testing.assert_allclose(found, llava.one_by_one(), atol=1e-4)


def test_attention_without_the_fused_kernel_agrees_too(folders):
    eager = Loaded("LLaVA", folders["LLaVA"], attention="eager")
    found = score_packed(eager.model, eager.prefix(), eager.candidates, pack=size(4))
    np.testing.assert_allclose(found, eager.one_by_one(), atol=1e-4)


def test_narrow_arithmetic_agrees_as_far_as_it_reaches(folders):
    narrow = Loaded("LLaVA", folders["LLaVA"], dtype=torch.bfloat16)
    found = score_packed(narrow.model, narrow.prefix(), narrow.candidates, pack=size(4))
    tokens = np.array([len(candidate) for candidate in narrow.candidates])
    assert (np.abs(found - narrow.one_by_one()) / tokens).max() < 0.3


@pytest.mark.parametrize("score", [score_packed, score_in_batches])
def test_positions_of_a_family_that_counts_otherwise(folders, score):
    """Qwen counts an image by its grid: what follows has smaller numbers than its place."""
    qwen = Loaded("Qwen2.5-VL", folders["Qwen2.5-VL"])
    prefix = qwen.prefix()
    shift = int(qwen.model.model.rope_deltas)
    assert shift < 0
    next_one = prefix.cache.get_seq_length() + shift

    def positions(depths):
        return (next_one + depths).expand(3, 1, -1)

    how = {"pack" if score is score_packed else "batch": size(4)}
    found = score(qwen.model, prefix, qwen.candidates, positions=positions, **how)
    np.testing.assert_allclose(found, qwen.one_by_one(), atol=1e-4)
    naively = score(qwen.model, prefix, qwen.candidates, **how)
    assert np.abs(naively - found).max() > 1e-2


def test_a_prefix_serves_many_times_and_stays_as_it_is(llava):
    prefix = llava.prefix()
    length = prefix.cache.get_seq_length()
    first = score_packed(llava.model, prefix, llava.candidates, pack=size(2))
    score_in_batches(llava.model, prefix, llava.candidates, batch=size(2))
    again = score_packed(llava.model, prefix, llava.candidates, pack=size(2))
    assert prefix.cache.get_seq_length() == length
    np.testing.assert_array_equal(first, again)


def test_a_node_that_sees_its_neighbours_is_noticed(llava, monkeypatch):
    """The mask matters: without it the agreement above is lost."""
    monkeypatch.setattr(trie_scoring, "_sees", lambda _, nodes: np.tri(len(nodes), dtype=bool))
    found = score_packed(llava.model, llava.prefix(), llava.candidates, pack=size())
    assert np.abs(found - llava.one_by_one()).max() > 1e-2


def test_a_name_does_not_win_by_being_short(llava):
    """With its end, "Ann" is one answer of many, and the probabilities of all sum up to one."""
    prefix = llava.prefix()
    n_tokens = len(prefix.logits)
    end = llava.candidates[0][-1]
    every = [[token] if token == end else [token, end] for token in range(n_tokens)]
    found = score_packed(llava.model, prefix, every, pack=size())
    assert np.exp(found).sum() < 1
    rest = [[7, token] for token in range(n_tokens)]
    beginning = score_packed(llava.model, prefix, [[7]], pack=size())
    total = np.logaddexp.reduce(score_packed(llava.model, prefix, rest, pack=size()))
    assert total == pytest.approx(beginning.item(), abs=1e-4)


def test_no_candidates_and_candidates_of_one_token(llava):
    prefix = llava.prefix()
    for score, how in ((score_packed, "pack"), (score_in_batches, "batch")):
        assert score(llava.model, prefix, [], **{how: size()}).shape == (0,)
        found = score(None, prefix, [[7], [9], [7]], **{how: size()})  # asks nothing
        wanted = prefix.logits.log_softmax(dim=-1)[[7, 9, 7]].double()
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        with pytest.raises(ValueError, match="candidate 1 has no token"):
            score(llava.model, prefix, [[7], []], **{how: size()})


class Cramped:
    """Holds no more than so many tokens at a time."""

    def __init__(self, model, room):
        self.model, self.room, self.fed = model, room, []

    def __call__(self, **inputs):
        n_tokens = inputs["input_ids"].numel()
        if n_tokens > self.room:
            raise MemoryError
        self.fed.append(n_tokens)
        return self.model(**inputs)


@pytest.mark.parametrize(("score", "how"), [(score_packed, "pack"), (score_in_batches, "batch")])
def test_packs_that_do_not_fit_are_halved(llava, score, how):
    longest = max(map(len, llava.candidates))
    cramped, batch = Cramped(llava.model, longest + 3), size()
    found = score(cramped, llava.prefix(), llava.candidates, **{how: batch})
    np.testing.assert_allclose(found, llava.one_by_one(), atol=1e-4)
    assert batch.now < NODES_A_PACK
    with pytest.raises(OutOfMemoryError, match='model "hf:tiny": not even one candidate'):
        score(Cramped(llava.model, 0), llava.prefix(), llava.candidates, **{how: size()})


def test_what_the_names_share_is_fed_once(llava):
    decoder = Cramped(llava.model, 10**6)
    score_packed(decoder, llava.prefix(), llava.candidates, pack=size())
    beginnings = {
        tuple(candidate[:end]) for candidate in llava.candidates for end in range(1, len(candidate))
    }
    assert decoder.fed == [len(beginnings)]


TOKEN_LISTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=12)


@given(TOKEN_LISTS)
def test_a_trie_is_the_set_of_beginnings(candidates):
    trie = trie_of(candidates)
    beginnings = {tuple(each[:end]) for each in candidates for end in range(1, len(each) + 1)}
    assert len(trie.tokens) == len(beginnings)
    for path, candidate in zip(trie.paths, candidates, strict=True):
        nodes = path[path >= 0]
        assert trie.tokens[nodes].tolist() == candidate
        assert trie.parents[nodes].tolist() == [-1, *nodes[:-1]]
        assert trie.depths[nodes].tolist() == list(range(len(nodes)))
    assert (trie.parents < np.arange(len(trie.tokens))).all()
    assert set(trie.inner) == set(trie.parents) - {-1}
    on_its_row = trie.paths[trie.rows, trie.depths]
    assert on_its_row.tolist() == list(range(len(trie.tokens)))


@given(TOKEN_LISTS, st.integers(1, 5))
def test_a_stretch_of_nodes_is_whole_with_its_first_nodes_ancestors(candidates, pack):
    trie = trie_of(candidates)
    for start in range(0, len(trie.inner), pack):
        asked = trie.inner[start : start + pack]
        held = {*asked, *trie.paths[trie.rows[asked[0]], : trie.depths[asked[0]]], -1}
        assert {trie.parents[node] for node in held - {-1}} <= held


def test_a_hundred_thousand_names_make_a_trie_without_delay():
    random = np.random.default_rng(0)
    names = [(*each, 1) for each in random.integers(2, 300, size=(100_000, 4)).tolist()]
    trie = trie_of(names)
    assert len(trie.paths) == len(names)
    assert len(trie.inner) == len({name[:end] for name in names for end in range(1, 5)})
