"""How likely a model finds each of many answers, with what they begin with computed once.

The candidates make a trie. Its inner nodes are fed to the model in packs, each of them one row of
tokens in which a token sees picture, prompt and its own ancestors and nothing else; leaves need
no pass of their own, since the tokens before them already say how likely they are.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from vlmaudit.models.memory import BatchSize

NODES_A_PACK: Final = 256
"""Inner nodes a pack where nobody says otherwise; 64 to 4096 take about as long."""

# transformers loads whichever class a configuration names, and a cache has as many kinds of layer.
Decoder: TypeAlias = Any
Cache: TypeAlias = Any

_LOGIT_ROWS: Final = 64  # logits turned into probabilities at a time: each row is a vocabulary


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a model has made of a picture and a prompt, before the first token of an answer.

    Attributes:
        cache: Keys and values of all tokens, batch of one, without padding. It stays as it is.
        logits: What the last token of the prompt says of the next one.
    """

    cache: Cache
    logits: Float[torch.Tensor, " vocabulary"]


@dataclass(frozen=True, slots=True)
class Trie:
    """Candidates that share what they begin with; nodes come before what grows from them.

    The nodes of a subtree follow one upon the other: all ancestors of a node that are not in a
    stretch of nodes are ancestors of the stretch's first node too.

    Attributes:
        tokens: Of each node.
        depths: Of each node; 0 where an answer begins.
        parents: Of each node; -1 where an answer begins.
        rows: A candidate that each node lies on, as a row of `paths`.
        inner: The nodes that others grow from, in ascending order.
        paths: The nodes of each candidate, in the candidates' own order; -1 behind the last.
    """

    tokens: Int[np.ndarray, " nodes"]
    depths: Int[np.ndarray, " nodes"]
    parents: Int[np.ndarray, " nodes"]
    rows: Int[np.ndarray, " nodes"]
    inner: Int[np.ndarray, " inner"]
    paths: Int[np.ndarray, "candidates width"]


def trie_of(candidates: Sequence[Sequence[int]]) -> Trie:
    """The trie of token sequences, of which several may be alike or begin alike.

    >>> trie = trie_of([[5, 1], [5, 7, 1], [5, 1]])
    >>> trie.tokens.tolist(), trie.inner.tolist()
    ([5, 1, 7, 1], [0, 2])
    >>> trie.paths.tolist()
    [[0, 1, -1], [0, 2, 3], [0, 1, -1]]

    Raises:
        ValueError: A candidate has no token.
    """
    table, lengths = _padded(candidates)
    order = np.lexsort(table.T[::-1])
    table, lengths = table[order], lengths[order]
    column = np.arange(table.shape[1])
    # As many tokens as a candidate shares with the one before it; the others are nodes of its own.
    shared = np.zeros(len(table), dtype=np.int64)
    shared[1:] = np.logical_and.accumulate(table[1:] == table[:-1], axis=1).sum(axis=1)
    shared = np.minimum(shared, lengths)
    is_new = (column >= shared[:, None]) & (column < lengths[:, None])
    rows, depths = np.nonzero(is_new)
    # A shared token is the node of the last candidate above that did not share it.
    own = np.where(column >= shared[:, None], np.arange(len(table))[:, None], 0)
    owner = np.maximum.accumulate(own, axis=0)
    first = np.cumsum(lengths - shared) - (lengths - shared)
    sorted_paths = first[owner] + column - shared[owner]
    sorted_paths[column >= lengths[:, None]] = -1
    parents = np.where(depths > 0, sorted_paths[rows, depths - 1], -1)
    paths = np.empty_like(sorted_paths)
    paths[order] = sorted_paths
    return Trie(
        tokens=table[rows, depths],
        depths=depths,
        parents=parents,
        rows=order[rows],
        inner=np.unique(parents[parents >= 0]),
        paths=paths,
    )


@torch.inference_mode()
def score_packed(
    decoder: Decoder,
    prefix: Prefix,
    candidates: Sequence[Sequence[int]],
    *,
    pack: BatchSize,
    positions: Callable[[Int[torch.Tensor, " nodes"]], torch.Tensor] | None = None,
) -> Float[np.ndarray, " candidates"]:
    """Natural log-probability of each candidate, summed over its tokens.

    Args:
        decoder: Called with `input_ids`, `attention_mask` (4-D, added to the attention's
            weights), `position_ids`, `past_key_values` and `use_cache`; gives `logits`.
        prefix: What comes before every candidate.
        candidates: Token ids, with the token that ends an answer.
        pack: Inner nodes a pack; ancestors of a pack's first node come on top.
        positions: The decoder's position ids of nodes at some depths; None where tokens are
            numbered one by one from the picture's first to the answer's last.

    Raises:
        OutOfMemoryError: Not even one node at a time fits.
        ValueError: A candidate has no token.
    """
    if not candidates:
        return np.empty(0)
    trie = trie_of(candidates)
    by_parent = np.argsort(trie.parents, kind="stable")
    sorted_parents = trie.parents[by_parent]
    scores = np.empty(len(trie.tokens))
    begins = by_parent[: np.searchsorted(sorted_parents, 0)]
    scores[begins] = _log_probabilities(
        prefix.logits[None], np.zeros(len(begins), dtype=np.int64), trie.tokens[begins]
    )

    def scored(part: slice) -> tuple[Int[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
        asked = trie.inner[part]
        ends = np.searchsorted(sorted_parents, [asked[0], asked[-1] + 1])
        children = by_parent[slice(*ends)]
        logits = _pack_logits(decoder, prefix.cache, trie, asked, positions)
        of_parent = np.searchsorted(asked, trie.parents[children])
        return children, _log_probabilities(logits, of_parent, trie.tokens[children])

    for _, (children, found) in pack.batches(len(trie.inner), scored):
        scores[children] = found
    return np.where(trie.paths >= 0, scores[trie.paths], 0).sum(axis=1)


@torch.inference_mode()
def score_in_batches(
    decoder: Decoder,
    prefix: Prefix,
    candidates: Sequence[Sequence[int]],
    *,
    batch: BatchSize,
    positions: Callable[[Int[torch.Tensor, " width"]], torch.Tensor] | None = None,
) -> Float[np.ndarray, " candidates"]:
    """The same as `score_packed` for a decoder that takes no mask of ours: several times slower.

    Args:
        decoder: Called with `input_ids`, `position_ids`, `past_key_values` and `use_cache`.
        prefix: What comes before every candidate.
        candidates: Token ids, with the token that ends an answer.
        batch: Candidates a batch.
        positions: As of `score_packed`, for one row, which holds for all.

    Raises:
        OutOfMemoryError: Not even one candidate at a time fits.
        ValueError: A candidate has no token.
    """
    length = prefix.cache.get_seq_length()

    def logits_of(ids: Int[torch.Tensor, "rows width"]) -> Float[torch.Tensor, "rows width v"]:
        depths = torch.arange(ids.shape[1], device=ids.device)
        places = (length + depths)[None] if positions is None else positions(depths)
        return decoder(
            input_ids=ids,
            position_ids=places.expand(*places.shape[:-2], len(ids), -1),
            past_key_values=_fork(prefix.cache, len(ids)),
            use_cache=True,
        ).logits

    return score_rows(logits_of, prefix.logits, candidates, batch=batch)


@torch.inference_mode()
def score_rows(
    logits_of: Callable[[Int[torch.Tensor, "rows width"]], Float[torch.Tensor, "rows width v"]],
    first: Float[torch.Tensor, " vocabulary"],
    candidates: Sequence[Sequence[int]],
    *,
    batch: BatchSize,
) -> Float[np.ndarray, " candidates"]:
    """The same for whatever says of each token what follows it, such as an encoder's decoder.

    Args:
        logits_of: Gives the logits behind each token of candidates that lack their last one and
            are padded on the right; a token must not depend on those to its right.
        first: The logits of a candidate's first token.
        candidates: Token ids, with the token that ends an answer.
        batch: Candidates a batch; those of about the same length are asked together.

    Raises:
        OutOfMemoryError: Not even one candidate at a time fits.
        ValueError: A candidate has no token.
    """
    if not candidates:
        return np.empty(0)
    table, lengths = _padded(candidates)
    scores = _log_probabilities(first[None], np.zeros(len(table), dtype=np.int64), table[:, 0])
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 1]

    def scored(part: slice) -> Float[np.ndarray, " rows"]:
        rows = order[part]
        width = int(lengths[rows].max()) - 1
        ids, wanted = np.maximum(table[rows, :width], 0), table[rows, 1 : width + 1]
        logits = logits_of(torch.from_numpy(ids).to(first.device))
        row, column = np.nonzero(wanted >= 0)
        found = _log_probabilities(
            logits.flatten(end_dim=1), row * width + column, wanted[row, column]
        )
        return np.bincount(row, weights=found, minlength=len(rows))

    for part, found in batch.batches(len(order), scored):
        scores[order[part]] += found
    return scores


def _padded(
    candidates: Sequence[Sequence[int]],
) -> tuple[Int[np.ndarray, "candidates width"], Int[np.ndarray, " candidates"]]:
    """Token ids, -1 behind the last of each candidate, and how many there are."""
    lengths = np.fromiter(map(len, candidates), dtype=np.int64, count=len(candidates))
    if not lengths.all():
        raise ValueError(f"candidate {int(lengths.argmin())} has no token")
    table = np.full((len(candidates), int(lengths.max(initial=0))), -1, dtype=np.int64)
    ids = [token for candidate in candidates for token in candidate]
    table[np.arange(table.shape[1]) < lengths[:, None]] = ids
    return table, lengths


def _pack_logits(
    decoder: Decoder,
    cache: Cache,
    trie: Trie,
    asked: Int[np.ndarray, " asked"],
    positions: Callable[[Int[torch.Tensor, " nodes"]], torch.Tensor] | None,
) -> Float[torch.Tensor, "asked vocabulary"]:
    """What the model says behind each of a stretch of inner nodes."""
    above = trie.paths[trie.rows[asked[0]], : trie.depths[asked[0]]]
    nodes = np.concatenate([above, asked])
    keys = cache.layers[0].keys
    length, device = cache.get_seq_length(), keys.device
    mask = torch.zeros(1, 1, len(nodes), length + len(nodes), dtype=keys.dtype)
    hidden = torch.from_numpy(~_sees(trie, nodes))
    mask[0, 0, :, length:].masked_fill_(hidden, torch.finfo(keys.dtype).min)
    depths = torch.from_numpy(trie.depths[nodes]).to(device)
    output = decoder(
        input_ids=torch.from_numpy(trie.tokens[nodes])[None].to(device),
        attention_mask=mask.to(device),
        position_ids=(length + depths)[None] if positions is None else positions(depths),
        past_key_values=_fork(cache, 1),
        use_cache=True,
    )
    return output.logits[0, len(above) :]


def _sees(trie: Trie, nodes: Int[np.ndarray, " nodes"]) -> Bool[np.ndarray, "nodes nodes"]:
    """Whether a node (row) sees another (column): itself and what it grows from."""
    paths = trie.paths[trie.rows[nodes]]
    node, depth = np.nonzero(np.arange(paths.shape[1]) <= trie.depths[nodes][:, None])
    sees = np.zeros((len(nodes), len(nodes)), dtype=bool)
    sees[node, np.searchsorted(nodes, paths[node, depth])] = True
    return sees


def _fork(cache: Cache, rows: int) -> Cache:
    """A cache that begins alike, `rows` times over, and leaves the first as it is.

    Nothing is copied yet: a layer that grows binds new tensors.
    """
    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in forked.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return forked


def _log_probabilities(
    logits: Float[torch.Tensor, "rows vocabulary"],
    rows: Int[np.ndarray, " wanted"],
    tokens: Int[np.ndarray, " wanted"],
) -> Float[np.ndarray, " wanted"]:
    """The natural log-probability of some tokens, each under a row of logits."""
    totals = torch.cat([part.float().logsumexp(dim=-1) for part in logits.split(_LOGIT_ROWS)])
    row, token = (torch.from_numpy(each).to(logits.device) for each in (rows, tokens))
    found = logits[row, token].float() - totals[row]
    return found.double().cpu().numpy()
