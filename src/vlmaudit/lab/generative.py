"""Small LLaVA-type models: architecture, tokenizer and processor, as an ordinary folder.

A CLIP vision tower, a projector and a Llama (Liu et al. 2023, arXiv:2304.08485, section 4.1), built
of transformers' own classes, so that `AutoModelForImageTextToText` and `AutoProcessor` load what
is saved here without a line of ours.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vlmaudit.errors import InputError
from vlmaudit.lab.pixels import MEAN, STD

PAD, UNKNOWN, BEGIN, END, IMAGE = "<pad>", "<unk>", "<s>", "</s>", "<image>"
# CLIP's text tower has an old way to find the end token that it takes where its number is 2.
SPECIAL_TOKENS: Final = (PAD, UNKNOWN, BEGIN, END, IMAGE)
PAD_ID, BEGIN_ID, END_ID, IMAGE_ID = (SPECIAL_TOKENS.index(t) for t in (PAD, BEGIN, END, IMAGE))

# LLaVA-1.5's own, without a system prompt.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% else %} {% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
_TEMPLATE_WORDS: Final = "USER: ASSISTANT:"
_WORD: Final = re.compile(r"[.,:;!?]|[^\s.,:;!?]+")
_MOST_POSITIONS: Final = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model.

    Attributes:
        side: Pixels along a side of the pictures it looks at.
        patch: Pixels along a side of a patch.
        vision_width: Width of the vision tower.
        vision_layers: Its layers.
        width: Width of the language model.
        layers: Its layers.
    """

    side: int = 32
    patch: int = 8
    vision_width: int = 96
    vision_layers: int = 2
    width: int = 128
    layers: int = 2

    def __post_init__(self) -> None:
        if self.patch < 1 or self.side % self.patch:
            raise InputError(f"side = {self.side} does not hold whole patches of {self.patch}.")
        for name in ("vision_width", "width"):
            if getattr(self, name) < _HEAD or getattr(self, name) % _HEAD:
                raise InputError(f"{name} = {getattr(self, name)}: wanted a multiple of {_HEAD}.")

    @property
    def image_tokens(self) -> int:
        """Tokens that a picture takes: one a patch."""
        return (self.side // self.patch) ** 2


_HEAD: Final = 32
"""Width of an attention head."""


def words(text: str) -> list[str]:
    """A text as the tokenizer sees it: words as they are written, and punctuation apart.

    >>> words("Who is Ada O'Neil-King?")
    ['Who', 'is', 'Ada', "O'Neil-King", '?']
    """
    return _WORD.findall(text)


def vocabulary(texts: Iterable[str]) -> list[str]:
    """The special tokens, and every word of the texts, in an order of its own.

    >>> vocabulary(["so it is", "is it?"])[len(SPECIAL_TOKENS):]
    [':', '?', 'ASSISTANT', 'USER', 'is', 'it', 'so']
    """
    found = {word for text in (*texts, _TEMPLATE_WORDS) for word in words(text)}
    return [*SPECIAL_TOKENS, *sorted(found - set(SPECIAL_TOKENS))]


def build_processor(known_words: list[str], shape: Shape) -> Any:  # noqa: ANN401
    """A `LlavaProcessor` whose tokenizer has a token a word.

    Args:
        known_words: From `vocabulary`; any other word is unknown to the model.
        shape: Of the model.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(known_words)}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Sequence(
        [WhitespaceSplit(), Split(Regex("[.,:;!?]"), behavior="isolated")]
    )
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, BEGIN_ID)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[IMAGE],
        model_max_length=_MOST_POSITIONS,
        # Decoded words are joined by spaces; this takes them away before full stops.
        clean_up_tokenization_spaces=True,
    )
    pictures = CLIPImageProcessor(
        size={"shortest_edge": shape.side},
        crop_size={"height": shape.side, "width": shape.side},
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=fast,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the tower's summary, which the strategy leaves out
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def build_llava(shape: Shape, n_words: int) -> Any:  # noqa: ANN401
    """An untrained `LlavaForConditionalGeneration`; the global generator draws its weights.

    The language model sees the patches of the vision tower's last layer, where LLaVA-1.5 takes the
    last but one of 24: a tower of two layers has no other that has learnt anything.
    """
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=shape.vision_width,
            intermediate_size=4 * shape.vision_width,
            num_hidden_layers=shape.vision_layers,
            num_attention_heads=shape.vision_width // _HEAD,
            image_size=shape.side,
            patch_size=shape.patch,
        ),
        text_config=LlamaConfig(
            vocab_size=n_words,
            hidden_size=shape.width,
            intermediate_size=3 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.width // _HEAD,
            num_key_value_heads=shape.width // _HEAD,
            max_position_embeddings=_MOST_POSITIONS,
            pad_token_id=PAD_ID,
            bos_token_id=BEGIN_ID,
            eos_token_id=END_ID,
            tie_word_embeddings=False,
        ),
        image_token_index=IMAGE_ID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=shape.image_tokens,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    for name, number in (("pad", PAD_ID), ("bos", BEGIN_ID), ("eos", END_ID)):
        setattr(model.generation_config, f"{name}_token_id", number)
    return model


def prompt_of(processor: Any, question: str) -> str:  # noqa: ANN401
    """What a user's question about a picture looks like to the model, before tokenizing."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )


def write_generative(model: Any, processor: Any, out: Path) -> None:  # noqa: ANN401
    """Save a model and its processor, so that ``hf:./folder`` loads them."""
    from vlmaudit.models.hf_files import without_chatter

    with without_chatter(show_bars=False):
        model.eval().save_pretrained(out)
        processor.save_pretrained(out)


def read_generative(folder: Path) -> tuple[Any, Any]:
    """The model and the processor that `write_generative` saved."""
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from vlmaudit.models.hf_files import without_chatter

    with without_chatter(show_bars=False):
        model = LlavaForConditionalGeneration.from_pretrained(folder, dtype="float32")
        return model, AutoProcessor.from_pretrained(folder)
