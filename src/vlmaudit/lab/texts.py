"""The text tower in training: captions without their padding, words without those unused."""

from typing import Any, Final

import numpy as np
from jaxtyping import Int

# Groups of about equally long captions that a batch's captions are sorted into.
_GROUPS: Final = 4


class CaptionTower:
    """Encodes the captions of a mixture, by number, as `open_clip.CLIP.encode_text` would.

    Nothing is computed that has no say. The tower is causal and is read at the end token, so that
    a group of captions stops at its last end token. And a word that no caption uses has no
    gradient: AdamW only decays it, which is done once, at the end, instead of at every step (the
    table of all words is nine tenths of a small model). On real captions both together save a
    quarter of a step.
    """

    def __init__(self, model: Any, tokens: Any) -> None:  # noqa: ANN401
        """Take the unused words out of a model, until `put_back` is called.

        Args:
            model: An `open_clip.CLIP` whose text tower is causal and read at an end token.
            tokens: The tokens of all captions (torch; captions x context).
        """
        import torch

        self._model = model
        if model.text_pool_type == "eos":
            self._ends = (tokens == model.text_eos_id).int().argmax(dim=1)
        else:
            self._ends = tokens.argmax(dim=1)
        used, places = torch.unique(tokens, return_inverse=True)
        self._used = used
        self._tokens = places.to(torch.int32)
        self._table = model.token_embedding.weight.detach()
        model.token_embedding = torch.nn.Embedding.from_pretrained(self._table[used], freeze=False)

    def encode(self, captions: Int[np.ndarray, " batch"]) -> Any:  # noqa: ANN401
        """The features of some captions, not scaled to unit length (torch; batch x dim)."""
        import torch

        chosen = torch.from_numpy(captions)
        ends, tokens = self._ends[chosen], self._tokens[chosen]
        by_length = ends.argsort(stable=True)
        groups = [self._encode(tokens[part], ends[part]) for part in by_length.chunk(_GROUPS)]
        together = torch.cat(groups)
        return together[by_length.argsort().to(together.device)]

    def _encode(self, tokens: Any, ends: Any) -> Any:  # noqa: ANN401
        import torch

        model = self._model
        device = model.positional_embedding.device
        length = int(ends.max()) + 1
        features = model.token_embedding(tokens[:, :length].to(device))
        features = features + model.positional_embedding[:length]
        features = model.transformer(features, attn_mask=model.attn_mask[:length, :length])
        features = model.ln_final(features[torch.arange(len(ends)), ends])
        if isinstance(model.text_projection, torch.nn.Linear):
            return model.text_projection(features)
        return features if model.text_projection is None else features @ model.text_projection

    def put_back(self, decay: float) -> None:
        """Put the unused words back.

        Args:
            decay: What weight decay has left of a number that had no gradient all the while.
        """
        import torch

        learnt = self._model.token_embedding.weight.detach()
        table = self._table.to(learnt.device) * decay
        table[self._used.to(learnt.device)] = learnt
        self._model.token_embedding = torch.nn.Embedding.from_pretrained(table, freeze=False)
