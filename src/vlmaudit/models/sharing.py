"""What prompts about one picture may share: decided by rule, and believed once it is seen to hold.

prefix   keys and values of all that prompts begin with, the picture among it
vision   what the vision tower makes of the picture
none     nothing: prompts are asked in batches of whole rows, or one by one
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import torch

from vlmaudit.models import drawn_inputs
from vlmaudit.models.asked import Asker
from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs, Said, generate, padding_of, speaker_of
from vlmaudit.models.hf_files import Model
from vlmaudit.models.memory import BatchSize, is_out_of_memory
from vlmaudit.models.shared_prefix import SharedPrefix, keeps_everything, shared_length
from vlmaudit.models.vision_sharing import Features, Pixels, Queries, WholeRows, are_alike

Sharing = Literal["prefix", "vision", "none"]

PROBES: Final = (
    "Who is this?",
    "Describe the noise in the picture, and what may be behind it.",
    "What do you see?",
)
"""Asked of a drawn picture at loading; of several lengths, so that padding has its say."""

MOST_MASS_MOVED: Final = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.2}
"""How far the probabilities of an answer's first token may be off: half the sum of differences.

Rounding moves 1e-5 in fp32; a wrong position or mask moves most of it, in any arithmetic.
"""


class Engine(Protocol):
    """A way of answering prompts about one picture."""

    def said(self, asked: Sequence[Inputs], max_new_tokens: int) -> Iterator[tuple[int, Said]]:
        """What comes out for each prompt, with the prompt's place, in any order."""
        ...


class OneByOne:
    """Answers each prompt as the library alone would: what all other ways are held against."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def said(self, asked: Sequence[Inputs], max_new_tokens: int) -> Iterator[tuple[int, Said]]:
        """What comes out for each prompt, in order."""
        for place, inputs in enumerate(asked):
            (said,) = generate(self._model, inputs, max_new_tokens=max_new_tokens)
            yield place, said


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is asked.

    Attributes:
        sharing: What prompts share.
        notice: Why they do not share more, in one sentence; empty where they share all they can.
        engine: What asks.
    """

    sharing: Sharing
    notice: str
    engine: Engine


def choose(
    model: Model, family: Family, asker: Asker, batch: BatchSize, *, most_moved: float
) -> Way:
    """The way that shares most among those that give what asking alone gives.

    Args:
        model: The loaded model.
        family: How it is asked.
        asker: What prepares pictures and words for it.
        batch: Prompts a batch.
        most_moved: See `MOST_MASS_MOVED`.

    Raises:
        Exception: Whatever the library raises where the model cannot be asked at all.
    """
    alone = OneByOne(model)
    asked = asker.inputs(drawn_inputs.noise(64, 48), PROBES, model.dtype)
    expected = first_probabilities(alone, asked)
    reasons: list[str] = []
    for sharing, engine, obstacle in _ways(model, family, batch, asked):
        reason = obstacle
        if not reason:
            moved = _mass_moved(engine, asked, expected)
            if moved <= most_moved:
                return Way(sharing, _notice(reasons), engine)
            reason = f"answers would not be those of asking alone ({sharing} sharing, {moved:.2g})"
        reasons.append(reason)
    return Way("none", _notice(reasons), alone)


def fits(way: Way, asked: Sequence[Inputs], picture_token: int | None) -> bool:
    """Whether the prompts of one picture can be asked in the chosen way."""
    if isinstance(way.engine, OneByOne):
        return True
    if not are_alike(asked):
        return False
    return way.sharing != "prefix" or _shares_picture(asked, picture_token)


def first_probabilities(engine: Engine, asked: Sequence[Inputs]) -> torch.Tensor:
    """Natural log-probabilities of the first token of each answer, in fp32."""
    logits = {place: said.first for place, said in engine.said(asked, max_new_tokens=1)}
    rows = torch.stack([logits[place] for place in range(len(asked))])
    return rows.float().log_softmax(dim=-1)


def picture_token(model: Model) -> int | None:
    """The token that stands for a picture's features; None where the architecture has none."""
    return getattr(model.config, "image_token_id", None)


def _ways(
    model: Model, family: Family, batch: BatchSize, asked: Sequence[Inputs]
) -> Iterator[tuple[Sharing, Engine, str]]:
    """From what shares most to what shares least; with what forbids it, if anything does."""
    pad = padding_of(model)
    yield "prefix", SharedPrefix(model, batch, pad=pad), _no_prefix(model, family, asked)
    unlike = "" if are_alike(asked) else "what it sees in a picture depends on the words"
    if speaker_of(model) is not model:
        is_blip2 = model.config.model_type == "blip-2"
        seeing = Queries(model) if is_blip2 else Pixels(model)
        yield "vision" if is_blip2 else "none", WholeRows(seeing, batch, pad=pad), unlike
        return
    features = WholeRows(Features(model), batch, pad=pad)
    yield "vision", features, unlike or _no_features(model)
    yield "none", WholeRows(Pixels(model), batch, pad=pad), unlike


def _no_prefix(model: Model, family: Family, asked: Sequence[Inputs]) -> str:
    """Why the cache of what prompts begin with cannot be shared; empty where it can."""
    if model.config.is_encoder_decoder or speaker_of(model).config.is_encoder_decoder:
        return "an encoder reads the whole prompt before the answer begins"
    if speaker_of(model) is not model:
        return "its language model takes the picture as embeddings"
    if family.is_prefix_two_way:
        return "the picture's tokens see the words behind them"
    if not keeps_everything(model):
        return "its layers do not keep all they have read"
    if not _shares_picture(asked, picture_token(model)):
        return "its prompts do not begin with the picture"
    return ""


def _no_features(model: Model) -> str:
    takes = getattr(model, "_supports_mm_encoder_outputs", None)
    sees = hasattr(model.base_model, "get_image_features")
    return "" if takes is not None and takes() and sees else "it takes no features from outside"


def _shares_picture(asked: Sequence[Inputs], token: int | None) -> bool:
    """Whether all picture tokens lie within what the prompts begin with."""
    prompts = [each["input_ids"][0].tolist() for each in asked]
    if token is None:
        return False
    return token not in prompts[0][shared_length(prompts) :] and shared_length(prompts) > 0


def _mass_moved(engine: Engine, asked: Sequence[Inputs], expected: torch.Tensor) -> float:
    """The largest distance of two distributions; 1 where the way breaks or gives no numbers."""
    try:
        found = first_probabilities(engine, asked)
    except (ValueError, RuntimeError, TypeError, IndexError, KeyError, AttributeError) as problem:
        if is_out_of_memory(problem):
            raise
        return 1.0
    moved = (found.exp() - expected.exp()).abs().sum(dim=-1).max().item() / 2
    return moved if moved == moved else 1.0  # noqa: PLR0124


def _notice(reasons: Sequence[str]) -> str:
    return f"Prompts share less than their beginning: {'; '.join(reasons)}." if reasons else ""
