r"""How a question is put to each family of generative models: only what really differs.

A checkpoint's own chat template says how its makers asked it, and is used wherever there is one.
The families below came before such templates, or without:

    BLIP-2        "Question: … Answer:", the prompt of its paper's VQA (section 4.1). The paper asks
                  Flan-T5 for a "Short answer:"; we ask both alike, as the checkpoints' cards do
    InstructBLIP  the words alone, which are the instruction
    LLaVA-1.5     "USER: <image>\n… ASSISTANT:", the turns it was trained on
    PaliGemma     the words alone. Its paper's "answer en …" belongs to the VQA tasks it was trained
                  on; The Phantom Menace asks the mix checkpoint in plain words, and so do we

PaliGemma's processor puts a line feed behind the words, which is where its answer begins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from vlmaudit.errors import ModelError
from vlmaudit.models.hf_files import Processor
from vlmaudit.models.loading import ModelSpec

# A word that no template holds, to see what it puts around a question or an answer.
_MARK: Final = "Zyxwvut"


@dataclass(frozen=True, slots=True)
class Family:
    """How one kind of model is asked.

    Attributes:
        render: The prompt with the words of a user, as text: with or without a picture's place.
        asks_without_picture: Whether a question can be put without any picture.
        behind_prompt: What the processor itself puts behind the prompt.
        before_answer: What stands between the prompt and an answer's first letter.
        is_prefix_two_way: Whether the prompt's tokens see those behind them, so that what a model
            makes of the picture depends on the words.
    """

    render: Callable[[str, bool], str]
    asks_without_picture: bool
    behind_prompt: str = ""
    before_answer: str = ""
    is_prefix_two_way: bool = False


@dataclass(frozen=True, slots=True)
class _Plain:
    """What is asked of a model without a chat template.

    Attributes:
        prompt: With slots for ``{image}`` and ``{words}``.
        image: What stands in the picture's place, where the processor does not put it itself.
    """

    prompt: str
    image: str
    before_answer: str
    behind_prompt: str = ""
    asks_without_picture: bool = False
    is_prefix_two_way: bool = False

    def render(self, words: str, has_picture: bool) -> str:
        # Not str.format, since the words may hold braces.
        image = self.image if has_picture else ""
        return self.prompt.replace("{image}", image).replace("{words}", words)


_PLAIN: Final[Mapping[str, _Plain]] = MappingProxyType(
    {
        "blip-2": _Plain("Question: {words} Answer:", image="", before_answer=" "),
        "instructblip": _Plain("{words}", image="", before_answer=" "),
        "llava": _Plain(
            "USER: {image}{words} ASSISTANT:",
            image="<image>\n",
            before_answer=" ",
            asks_without_picture=True,
        ),
        "paligemma": _Plain(
            "{image}{words}",
            image="<image>",
            before_answer="",
            behind_prompt="\n",
            is_prefix_two_way=True,
        ),
    }
)


def family_of(spec: ModelSpec, model_type: str, processor: Processor) -> Family:
    """How a checkpoint wants to be asked.

    Args:
        spec: The model, for errors.
        model_type: What its config.json calls the architecture.
        processor: Its own processor.

    Raises:
        ModelError: Neither a chat template nor a rule of ours says so.
    """
    plain = _PLAIN.get(model_type)
    if getattr(processor, "chat_template", None):
        return _templated(spec, processor)
    if plain is None:
        raise spec.error(
            "its processor has no chat template, so how it wants to be asked is not known; put its "
            "makers' chat_template.jinja into the folder."
        )
    return Family(
        plain.render,
        asks_without_picture=plain.asks_without_picture,
        behind_prompt=plain.behind_prompt,
        before_answer=plain.before_answer,
        is_prefix_two_way=plain.is_prefix_two_way,
    )


def _templated(spec: ModelSpec, processor: Processor) -> Family:
    """A family whose template is tried once, with and without a picture."""

    def render(words: str, has_picture: bool) -> str:
        turns = [_turn("user", words, has_picture=has_picture)]
        return processor.apply_chat_template(turns, add_generation_prompt=True)

    try:
        asked = render(_MARK, True)
    except Exception as problem:  # whatever a template of others does
        raise _unusable(spec, str(problem)) from problem
    if _MARK not in asked:
        raise _unusable(spec, "the question is not in it")
    return Family(
        render,
        asks_without_picture=_renders_without(render),
        before_answer=_before_answer(processor, asked),
    )


def _renders_without(render: Callable[[str, bool], str]) -> bool:
    try:
        return _MARK in render(_MARK, False)
    except Exception:  # a template may count pictures
        return False


def _before_answer(processor: Processor, asked: str) -> str:
    """The blanks that the template puts before an answer; one where it does not show any turn."""
    if asked[-1:].isspace():
        return ""
    turns = [_turn("user", _MARK, has_picture=True), _turn("assistant", _MARK)]
    try:
        before, mark, _ = processor.apply_chat_template(turns).rpartition(_MARK)
    except Exception:  # a template may know questions only
        return " "
    return before[len(before.rstrip()) :] if mark and _MARK in before else " "


def _turn(role: str, words: str, *, has_picture: bool = False) -> dict[str, Any]:
    picture = [{"type": "image"}] if has_picture else []
    return {"role": role, "content": [*picture, {"type": "text", "text": words}]}


def _unusable(spec: ModelSpec, why: str) -> ModelError:
    reason = " ".join(why.split())[:160].rstrip(".")
    return spec.error(f"its chat template cannot be used ({reason}).")
