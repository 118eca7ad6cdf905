"""What the two stages of a generative training learn from a batch: their losses."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Int

from vlmaudit.lab.generative import BEGIN_ID, END_ID, IMAGE, PAD_ID, prompt_of
from vlmaudit.lab.generative_settings import Stage
from vlmaudit.lab.generative_texts import Turn

_CONTRAST_DIM: Final = 64
_CAPTION_WIDTH: Final = 64
_IGNORED: Final = -100  # cross_entropy's own sign for a place that is not learnt
_AT_ONCE: Final = 256


def pixels(processor: Any, pictures: Any) -> Any:  # noqa: ANN401
    """What the model's own preprocessing makes of pictures (torch; n x 3 x side x side)."""
    return processor.image_processor(list(pictures), return_tensors="pt")["pixel_values"]


class Parts:
    """The vision tower and the language model, each taught for itself."""

    def __init__(
        self,
        llava: Any,  # noqa: ANN401
        processor: Any,  # noqa: ANN401
        *,
        pictures: Any,  # noqa: ANN401
        faces: Int[np.ndarray, " pictures"],
        captions: Sequence[str],
        stage: Stage,
    ) -> None:
        """Take the parts of an untrained model, and a text tower that is thrown away later.

        Args:
            llava: The model, whose projector stays as it is.
            processor: Of the model.
            pictures: From `pixels` (torch).
            faces: Whose face each picture shows.
            captions: One a picture.
            stage: How to train.
        """
        import torch
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        vision, language = llava.model.vision_tower, llava.model.language_model
        n_words = language.config.vocab_size
        self._texts = _padded(
            [[*ids, END_ID] for ids in processor.tokenizer(captions)["input_ids"]]
        )
        tower = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=n_words,
                hidden_size=_CAPTION_WIDTH,
                intermediate_size=2 * _CAPTION_WIDTH,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=self._texts.shape[1],
                projection_dim=_CONTRAST_DIM,
                pad_token_id=PAD_ID,
                bos_token_id=BEGIN_ID,
                eos_token_id=END_ID,
            )
        )
        self.module = torch.nn.ModuleDict(
            {
                "vision": vision,
                "projection": torch.nn.Linear(vision.config.hidden_size, _CONTRAST_DIM, bias=False),
                "captions": tower,
                "language": language,
                "words": llava.lm_head,
            }
        )
        self._sharpness = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.module.register_parameter("sharpness", self._sharpness)
        self._pictures = pictures
        self._stage = stage
        order = np.argsort(faces, kind="stable")
        _, self._starts, self._counts = np.unique(
            faces[order], return_index=True, return_counts=True
        )
        self._order = order

    def loss(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        """Contrastive loss of a batch plus the language model's of its captions."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        batch = torch.from_numpy(self._draw(rng))
        texts = _trimmed(self._texts[batch])
        shown = _moved(self._pictures[batch], self._stage.max_shift, rng)
        module = self.module
        seen = module["projection"](self._patches(shown).mean(dim=1))
        read = module["captions"](texts).text_embeds
        scores = normalize(seen, dim=-1) @ normalize(read, dim=-1).T
        scores = scores * self._sharpness.exp().clamp(max=100)
        own = torch.arange(len(batch))
        contrast = (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
        texts = texts[rng.permutation(len(batch))[: self._stage.sentences]]
        said = module["language"](input_ids=texts[:, :-1], use_cache=False).last_hidden_state
        following = texts[:, 1:]
        is_word = following != PAD_ID
        words = cross_entropy(module["words"](said[is_word]), following[is_word])
        return contrast + words

    def _patches(self, shown: Any) -> Any:  # noqa: ANN401
        # Averaged, unlike CLIP's: every patch then says who it is, and the language model need
        # not find the one that does.
        return self.module["vision"](shown).last_hidden_state[:, 1:]

    def _draw(self, rng: np.random.Generator) -> Int[np.ndarray, " size"]:
        """Pictures of different people, who are drawn by how many pictures they have."""
        size = min(self._stage.batch_size, len(self._counts))
        times = rng.exponential(size=len(self._counts)) / self._counts
        drawn = np.sort(np.argpartition(times, size - 1)[:size])
        return self._order[self._starts[drawn] + rng.integers(self._counts[drawn])]


class Aligner:
    """Projector and language model, taught to answer about pictures that are seen as they are."""

    def __init__(
        self,
        llava: Any,  # noqa: ANN401
        processor: Any,  # noqa: ANN401
        *,
        pictures: Any,  # noqa: ANN401
        turns: Sequence[Turn],
        stage: Stage,
    ) -> None:
        """Look at all pictures once: the vision tower does not change any more.

        Args:
            llava: The model, whose parts have been trained.
            processor: Of the model.
            pictures: From `pixels` (torch).
            turns: What is asked and answered.
            stage: How to train; pictures are not moved.
        """
        import torch

        vision = llava.model.vision_tower.eval().requires_grad_(False)
        with torch.no_grad():
            self._seen = torch.cat(
                [vision(part).last_hidden_state[:, 1:] for part in pictures.split(_AT_ONCE)]
            )
        _spread(llava.model.multi_modal_projector, self._seen.flatten(0, 1))
        self.module = llava
        self._stage = stage
        self._pictures = torch.tensor([turn.picture for turn in turns])
        rows, targets = tokens_of(processor, turns, llava.config.image_seq_length)
        self._rows, self._targets = rows, targets

    def loss(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        """The language model's loss of a batch's answers, their ends included."""
        import torch
        from torch.nn.functional import cross_entropy

        batch = torch.from_numpy(rng.integers(len(self._rows), size=self._stage.batch_size))
        rows = _trimmed(self._rows[batch])
        targets = self._targets[batch][:, : rows.shape[1]]
        model = self.module
        embedded = model.get_input_embeddings()(rows)
        seen = model.model.multi_modal_projector(self._seen[self._pictures[batch]])
        is_image = (rows == model.config.image_token_id)[..., None].expand_as(embedded)
        embedded = embedded.masked_scatter(is_image, seen)
        # Causal attention never looks at the padding that follows.
        said = model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        following = targets[:, 1:]
        is_answer = following != _IGNORED
        return cross_entropy(model.lm_head(said[:, :-1][is_answer]), following[is_answer])


def _spread(projector: Any, seen: Any) -> None:  # noqa: ANN401
    """First weights of a projector that tell pictures apart from the first step on.

    With transformers' own, of a standard deviation of .02, two thirds of the alignment pass before
    an answer depends on the picture. So the first layer makes what patches differ in equally large
    in all directions, and the second says it four times as loud.
    """
    import torch

    first, second = projector.linear_1, projector.linear_2
    with torch.no_grad():
        mean = seen.mean(dim=0)
        _, sizes, directions = torch.linalg.svd(seen - mean, full_matrices=False)
        spread = sizes / len(seen) ** 0.5
        spread = spread.clamp(min=float(spread[0]) / 10)  # what hardly varies is noise
        turned = torch.nn.init.orthogonal_(torch.empty(first.out_features, len(spread)))
        first.weight.copy_(turned @ (directions / spread[:, None]))
        first.bias.copy_(-first.weight @ mean)
        second.weight.mul_(4)


def tokens_of(processor: Any, turns: Sequence[Turn], image_tokens: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Rows of prompt and answer, and the same with all but the answer left out (torch)."""
    prompts: dict[str, list[int]] = {}
    for question in {turn.question for turn in turns}:
        text = prompt_of(processor, question).replace(IMAGE, IMAGE * image_tokens)
        prompts[question] = processor.tokenizer(text)["input_ids"]
    answers = processor.tokenizer([turn.answer for turn in turns], add_special_tokens=False)
    rows, targets = [], []
    for turn, said in zip(turns, answers["input_ids"], strict=True):
        prompt = prompts[turn.question]
        rows.append([*prompt, *said, END_ID])
        targets.append([*[_IGNORED] * len(prompt), *said, END_ID])
    return _padded(rows), _padded(targets, _IGNORED)


def _padded(rows: Sequence[Sequence[int]], filler: int = PAD_ID) -> Any:  # noqa: ANN401
    import torch

    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


def _trimmed(rows: Any) -> Any:  # noqa: ANN401
    """Rows without the columns that are padding in all of them."""
    return rows[:, : int((rows != PAD_ID).sum(dim=1).max())]


def _moved(pictures: Any, most: int, rng: np.random.Generator) -> Any:  # noqa: ANN401
    """All pictures moved alike by up to so many pixels, edges repeated."""
    side = pictures.shape[-1]
    places = np.clip(np.arange(side) + rng.integers(-most, most + 1, (2, 1)), 0, side - 1)
    return pictures[:, :, places[0]][:, :, :, places[1]]
