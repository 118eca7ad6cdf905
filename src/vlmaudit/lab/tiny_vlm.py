"""An untrained tiny LLaVA for whoever has no weights, as an ordinary ``hf:`` folder.

It is the lab's small LLaVA with two differences. Its tokenizer can spell anything: words that are
frequent in the training texts have a token of their own, all else goes byte by byte, so that it can
be taught, and asked for, any private value. And it looks at whole pictures, scaled to a square,
where LLaVA's own preprocessing cuts out the middle: a stamp may stand at the edge.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from vlmaudit.data.albums import Album, examples_of
from vlmaudit.lab.generative import (
    BEGIN,
    BEGIN_ID,
    CHAT_TEMPLATE,
    END,
    IMAGE,
    PAD,
    SPECIAL_TOKENS,
    UNKNOWN,
    Shape,
    build_llava,
    write_generative,
)
from vlmaudit.lab.pixels import MEAN, STD
from vlmaudit.seeds import stream

SHAPE: Final = Shape(side=64, patch=32, vision_width=128, width=128)
"""The sizes that the preset ``tiny`` is meant for."""

_LEAST: Final = 3
"""How often a word must be said to have a token of its own."""
_MOST_WORDS: Final = 4000
_MOST_TOKENS: Final = 2048  # of a conversation; rotary positions need no table
_TEMPLATE_TEXTS: Final = ("USER: ", " ASSISTANT:") * _LEAST
# A word is always cheaper than its letters; the numbers mean nothing else.
_SCORE_OF_WORD: Final = -1.0
_SCORE_OF_BYTE: Final = -10.0


def write_tiny_vlm(
    folder: Path,
    texts: Iterable[str],
    *,
    spelt: Iterable[str] = (),
    shape: Shape = SHAPE,
    seed: int = 0,
) -> None:
    """Write an untrained model, its tokenizer and its processor.

    Args:
        folder: Where to; made if need be.
        texts: What will be asked and answered, each as often as it is.
        spelt: What must be spelt letter by letter, whatever the texts say: private values, so that
            none of them is a word to the model and another is not.
        shape: Sizes of the model.
        seed: Of its first weights.
    """
    import torch

    tokenizer = _tokenizer(_words(texts, spelt))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream(seed, "tiny model").integers(2**63)))
        model = build_llava(shape, len(tokenizer))
    model.config.text_config.max_position_embeddings = _MOST_TOKENS
    folder.mkdir(parents=True, exist_ok=True)
    write_generative(model, _processor(tokenizer, shape), folder)


def write_tiny_vlm_for(album: Album, folder: Path, *, shape: Shape = SHAPE, seed: int = 0) -> None:
    """The same for an album: one model for all of its variants.

    Whether a word has a token is decided by what is said in all variants together, and private
    values have none: the tokenizer knows nothing of arms.
    """
    said = [
        text
        for variant in album.about.variants
        for example in examples_of(album, variant)
        for turn in example.turns
        for text in turn
    ]
    for row in album.held_out.iter_rows(named=True):
        said += [row["question"], row["answer"], *row["choices"].split("|")]
    fields = album.records.select(list(album.about.fields))
    values = {value for column in fields.iter_columns() for value in column}
    write_tiny_vlm(folder, said, spelt=sorted(values), shape=shape, seed=seed)


def _words(texts: Iterable[str], spelt: Iterable[str]) -> list[str]:
    """The pieces that have a token each, blanks before them included, in an order of their own."""
    pieces = _Pieces()
    counts: Counter[str] = Counter()
    for text in (*texts, *_TEMPLATE_TEXTS):
        # At the start of a question, and behind a blank, as an answer stands.
        counts.update({*pieces.of(text), *pieces.of(f" {text}")})
    private = {piece.strip(pieces.blank) for text in spelt for piece in pieces.of(text)}
    frequent = [
        piece
        for piece, times in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        if times >= _LEAST and len(piece) > 1 and piece.strip(pieces.blank) not in private
    ]
    return sorted(frequent[:_MOST_WORDS])


class _Pieces:
    """Texts cut into words, as GPT-2's tokenizer cuts them; bytes are spelt as letters."""

    blank: Final = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"

    def __init__(self) -> None:
        from tokenizers.pre_tokenizers import ByteLevel

        self.cutter = ByteLevel(add_prefix_space=False)
        self.alphabet = sorted(ByteLevel.alphabet())

    def of(self, text: str) -> list[str]:
        return [piece for piece, _ in self.cutter.pre_tokenize_str(text)]


def _tokenizer(known_words: list[str]) -> Any:  # noqa: ANN401
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Joined
    from tokenizers.models import Unigram
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    pieces = _Pieces()
    scored = [(token, 0.0) for token in SPECIAL_TOKENS]
    scored += [(letter, _SCORE_OF_BYTE) for letter in pieces.alphabet]
    scored += [(word, _SCORE_OF_WORD) for word in known_words]
    tokenizer = Tokenizer(Unigram(scored, unk_id=SPECIAL_TOKENS.index(UNKNOWN)))
    tokenizer.pre_tokenizer = pieces.cutter
    tokenizer.decoder = Joined()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, BEGIN_ID)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[IMAGE],
        model_max_length=_MOST_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def _processor(tokenizer: Any, shape: Shape) -> Any:  # noqa: ANN401
    from transformers import CLIPImageProcessor, LlavaProcessor

    pictures = CLIPImageProcessor(
        size={"height": shape.side, "width": shape.side},
        do_center_crop=False,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the tower's summary, which the strategy leaves out
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )
