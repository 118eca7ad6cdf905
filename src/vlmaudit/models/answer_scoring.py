"""How likely a generative model finds given answers, whichever way its architecture allows.

packed    causal models: picture and prompt are read once, all answers in packs of a trie
rows      encoder-decoders: the encoder reads once, answers are rows of the decoder
in full   what else there is: picture, prompt and answer anew for each row
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import Float, Int

from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs, speaker_of
from vlmaudit.models.hf_files import Model
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.shared_prefix import forward, keeps_everything
from vlmaudit.models.trie_scoring import Prefix, score_packed, score_rows
from vlmaudit.models.vision_sharing import Queries


class Scoring:
    """Scores token sequences behind one prompt."""

    def __init__(self, model: Model, family: Family, batch: BatchSize) -> None:
        """Score with a model.

        Args:
            model: The loaded model.
            family: How it is asked.
            batch: Nodes of a trie, or rows, a pass.
        """
        self._model = model
        self._family = family
        self._batch = batch
        self._speaker = speaker_of(model)
        self._is_encoder_decoder = self._speaker.config.is_encoder_decoder

    @torch.inference_mode()
    def score(
        self, asked: Inputs, candidates: Sequence[Sequence[int]]
    ) -> Float[np.ndarray, " candidates"]:
        """Natural log-probability of each candidate behind a prompt.

        Raises:
            OutOfMemoryError: Not even one candidate at a time fits.
        """
        if self._is_encoder_decoder:
            return self._score_decoded(asked, candidates)
        if not keeps_everything(self._model):
            return self._score_in_full(asked, candidates)
        prefix, decoder = self._read(asked)
        return score_packed(
            decoder,
            Prefix(prefix.past_key_values, prefix.logits[0, -1]),
            candidates,
            pack=self._batch,
            positions=self._positions(asked["input_ids"].shape[1]),
        )

    @torch.inference_mode()
    def score_alone(self, asked: Inputs, candidate: Sequence[int]) -> float:
        """The same for one candidate, in one pass of the whole model that shares nothing."""
        answer = torch.tensor([candidate], device=asked["input_ids"].device)
        if self._is_encoder_decoder:
            logits = self._model(**asked, labels=answer).logits.float()
        else:
            logits = self._full_logits(asked, answer[:, :-1])
        chosen = logits[0].log_softmax(dim=-1)[range(len(candidate)), list(candidate)]
        return float(chosen.double().sum())

    def _read(self, asked: Inputs) -> tuple[Any, Model]:
        """What comes out behind a whole prompt, and what the answers are to be put to."""
        length = asked["input_ids"].shape[1]
        if self._speaker is self._model:
            return forward(self._model, asked, length), self._model
        read = self._speaker(
            **self._embedded(asked),
            past_key_values=transformers.DynamicCache(config=self._speaker.config),
            use_cache=True,
            logits_to_keep=1,
        )
        return read, self._speaker

    def _embedded(self, asked: Inputs) -> Inputs:
        seeing = Queries(self._model)
        return seeing.rows(asked, seeing.see(asked))

    def _positions(self, length: int) -> Any:  # noqa: ANN401
        """Where answers stand, in families that do not count tokens one by one from 0."""
        for module in self._model.modules():
            if (deltas := getattr(module, "rope_deltas", None)) is not None:
                # Qwen: a picture takes fewer positions than tokens, on three axes.
                start = length + int(deltas.flatten()[0])
                return lambda depths: (start + depths).expand(3, 1, -1)
        if self._family.is_prefix_two_way:
            return lambda depths: (length + 1 + depths)[None]  # PaliGemma counts from 1
        return None

    def _score_decoded(
        self, asked: Inputs, candidates: Sequence[Sequence[int]]
    ) -> Float[np.ndarray, " candidates"]:
        """With an encoder that reads picture and prompt once."""
        embedded = self._embedded(asked)
        read = self._speaker.get_encoder()(**embedded, return_dict=True)
        start = self._speaker.generation_config.decoder_start_token_id

        def logits_of(
            ids: Int[torch.Tensor, "rows width"],
        ) -> Float[torch.Tensor, "rows width vocabulary"]:
            begun = torch.nn.functional.pad(ids, (1, 0), value=start)
            hidden = read.last_hidden_state.expand(len(ids), -1, -1)
            return self._speaker(
                encoder_outputs=type(read)(last_hidden_state=hidden),
                attention_mask=embedded["attention_mask"].expand(len(ids), -1),
                decoder_input_ids=begun,
                use_cache=False,
            ).logits

        device = embedded["attention_mask"].device
        first = logits_of(torch.empty(1, 0, dtype=torch.long, device=device))[0, -1]
        return score_rows(lambda ids: logits_of(ids)[:, 1:], first, candidates, batch=self._batch)

    def _score_in_full(
        self, asked: Inputs, candidates: Sequence[Sequence[int]]
    ) -> Float[np.ndarray, " candidates"]:
        first = self._full_logits(asked, torch.empty(1, 0, dtype=torch.long))[0, -1]

        def logits_of(
            ids: Int[torch.Tensor, "rows width"],
        ) -> Float[torch.Tensor, "rows width vocabulary"]:
            return torch.cat([self._full_logits(asked, row[None])[:, 1:] for row in ids])

        return score_rows(logits_of, first, candidates, batch=self._batch)

    def _full_logits(
        self, asked: Inputs, ids: Int[torch.Tensor, "one width"]
    ) -> Float[torch.Tensor, "one width1 vocabulary"]:
        """Logits of the prompt's last token and of each behind it, without any cache."""
        width = ids.shape[1]
        grown = dict(asked)
        for name, behind in (
            ("input_ids", None),
            ("attention_mask", 1),
            ("mm_token_type_ids", 0),
            ("token_type_ids", 1),
        ):
            if name in asked:
                row = (
                    ids.to(asked[name])
                    if behind is None
                    else asked[name].new_full((1, width), behind)
                )
                grown[name] = torch.cat([asked[name], row], dim=1)
        return self._model(**grown).logits[:, -width - 1 :].float()
