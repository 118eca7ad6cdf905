"""Pictures and words as a generative model takes them; a picture is prepared once."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from PIL.Image import Image

from vlmaudit.data.images import as_rgb
from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs
from vlmaudit.models.hf_files import Processor

TOKENWISE: Final = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
"""What has a number for each token of a prompt."""

_UNASKED: Final = ("labels",)  # PaliGemma's processor makes targets for training


class Asker:
    """Makes inputs of a picture and a user's words: tensors by name, a batch of one each."""

    def __init__(self, processor: Processor, family: Family, device: torch.device) -> None:
        """Take over a processor, whose pictures are from now on prepared here."""
        self._prepared = _PreparedOnce(processor.image_processor)
        processor.image_processor = self._prepared
        processor.tokenizer.padding_side = "left"
        self._processor = processor
        self._family = family
        self._device = device

    def inputs(
        self, image: Image | None, prompts: Sequence[str], dtype: torch.dtype
    ) -> list[Inputs]:
        """What the model is given for each prompt, as if each had been asked alone.

        Args:
            image: Any mode and size; None for none.
            prompts: The words of a user.
            dtype: What pixels become.

        Raises:
            ValueError: The processor does not take them.
        """
        self._prepared.forget()
        shown = None if image is None else as_rgb(image)
        return [self._input(shown, prompt, dtype) for prompt in prompts]

    def rendered(self, prompt: str, *, has_picture: bool) -> str:
        """A prompt as the processor gets it."""
        return self._family.render(prompt, has_picture)

    def continuations(
        self, prompt: str, answers: Sequence[str], *, has_picture: bool
    ) -> list[list[int]]:
        """The tokens of answers as the tokenizer writes them behind a prompt.

        Whatever the tokens of prompt and answer have before those of the prompt alone is cut off;
        where the border is melted into one token, the answer is tokenised by itself.
        """
        tokenizer, family = self._processor.tokenizer, self._family
        asked = self.rendered(prompt, has_picture=has_picture) + family.behind_prompt
        whole = [f"{asked}{family.before_answer}{answer}" for answer in answers]
        (before,) = tokenizer([asked], add_special_tokens=False)["input_ids"]
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        alone = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
        return [
            joined[len(before) :] if joined[: len(before)] == before else own
            for joined, own in zip(ids, alone, strict=True)
        ]

    def _input(self, image: Image | None, prompt: str, dtype: torch.dtype) -> Inputs:
        text = self.rendered(prompt, has_picture=image is not None)
        begin = self._processor.tokenizer.bos_token
        # A template may write the begin token itself; twice is what no model was trained on.
        how = {"add_special_tokens": False} if begin and text.startswith(begin) else {}
        made = self._processor(
            text=[text],
            # A list a prompt: some processors take a flat list for one picture each.
            images=None if image is None else [[image]],
            return_tensors="pt",
            **how,
        )
        return {
            name: value.to(self._device, dtype if value.is_floating_point() else value.dtype)
            for name, value in made.items()
            if name not in _UNASKED and isinstance(value, torch.Tensor)
        }


class _PreparedOnce:
    """An image processor that gives what it gave last until it is told to forget."""

    def __init__(self, processor: Any) -> None:  # noqa: ANN401
        self._processor = processor
        self._last: dict[str, Any] | None = None

    def forget(self) -> None:
        self._last = None

    def __call__(self, *images: object, **how: object) -> Any:  # noqa: ANN401
        if self._last is None:
            self._last = self._processor(*images, **how)
        # Processors take out what concerns them alone.
        return type(self._last)(dict(self._last))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._processor, name)
