"""What an OpenAI-compatible server says: an answer, no answer, or why not.

Servers differ most where they refuse. What they write there may hold anything, a name among it, so
that it is compared with what is known and never quoted.
"""

from collections.abc import Mapping
from typing import Final

from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.patient_http import UnreadableError

LONGEST_ANSWER: Final = 1_000_000
"""Characters of an answer that are kept; what is longer counts as cut off there."""
WITHHELD: Final = "the server's content filter withheld the answer"
"""Why there is no answer where a filter beside the model stepped in. The model itself said nothing,
so that this is no refusal of the model's."""

_NO_COMPLETION: Final = "the answer is no chat completion"
# How an answer ended. All else that servers write here is an end that the model chose.
_CUT_OFF: Final = frozenset({"length", "max_tokens"})
# The first is OpenAI's word; the others are Gemini's, which passes its own through.
_FILTERED: Final = frozenset(
    {
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
    }
)


def read_answer(response: object) -> Answer | Failed:
    """What a server's answer says: its first choice.

    A refusal in words of the model's own is an answer, also where it comes in a field of its own.
    An empty text is an answer, too; no text at all is none.

    >>> message = {"role": "assistant", "content": "A cat."}
    >>> read_answer({"choices": [{"message": message, "finish_reason": "stop"}]}).text
    'A cat.'

    Raises:
        UnreadableError: It is no chat completion; the message is the recorded reason.
    """
    choice: dict[str, object]
    match response:
        case {"choices": [dict(choice), *_]}:
            pass
        case {"choices": []}:
            raise UnreadableError("an empty list of choices")
        case {"error": _}:
            # OpenRouter answers with status 200 once the model has begun.
            if reason := reason_of(response):
                return Failed(reason, is_transient=False)
            raise UnreadableError("an error in place of an answer")
        case _:
            raise UnreadableError(_NO_COMPLETION)
    ending = str(choice.get("finish_reason")).lower()
    # Some servers add what was found after a colon.
    if ending.partition(":")[0] in _FILTERED:
        return Failed(WITHHELD, is_transient=False)
    if ending == "error":
        raise UnreadableError("an answer that ended in an error")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UnreadableError(_NO_COMPLETION)
    text = _text(message)
    if text is None:
        # Asked greedily, it would not say more the next time.
        return Failed("an answer without text", is_transient=False)
    return Answer(
        _storable(text[:LONGEST_ANSWER]),
        "length" if ending in _CUT_OFF or len(text) > LONGEST_ANSWER else "stop",
        tokens=_count(response, "completion_tokens"),
        prompt_tokens=_count(response, "prompt_tokens"),
    )


def reason_of(refusal: object) -> str:
    """Why a server refused one question, where that is known; else nothing.

    >>> reason_of({"error": {"code": "content_filter", "message": "…"}}) == WITHHELD
    True
    """
    match refusal:
        case {"error": {"code": "content_filter" | "content_policy_violation"}}:  # Azure, OpenAI
            return WITHHELD
        case {"error": {"metadata": {"flagged_input": _}}}:  # OpenRouter
            return WITHHELD
        case {"error": {"code": "context_length_exceeded"}}:
            return "picture and prompt are longer than the model can read"
        case _:
            return ""


def unwanted_setting(refusal: object) -> str:
    """The setting that a server does not know or take, as it stood in the request; or nothing.

    >>> unwanted_setting({"error": {"code": "unsupported_parameter", "param": "max_tokens"}})
    'max_tokens'
    >>> unwanted_setting({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})
    'seed'
    """
    match refusal:
        case {"error": {"code": "unsupported_parameter" | "unsupported_value", "param": str(name)}}:
            return name
        # Mistral, with or without the outer wrapping.
        case {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", str(name)]}, *_]}}:
            return name
        case {"detail": [{"type": "extra_forbidden", "loc": ["body", str(name)]}, *_]}:
            return name
        case _:
            return ""


def _text(message: Mapping[str, object]) -> str | None:
    """All that a message says to its reader; None where it holds no text, not even an empty one."""
    texts: list[str] = []
    match message.get("content"):
        case None:
            pass
        case str(text):
            texts.append(text)
        case []:
            texts.append("")
        case [*parts]:
            texts.extend(said for part in parts if (said := _text_of_part(part)) is not None)
        case _:
            raise UnreadableError("a content that is no text")
    words = "".join(texts)
    match message.get("refusal"):
        case str(refusal) if refusal:
            return f"{words}\n{refusal}" if words else refusal
        case _:
            return words if texts else None


def _text_of_part(part: object) -> str | None:
    """What one part of a content says; reasoning and calls of tools are not said to anyone."""
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return text
        case _:
            return None


def _storable(text: str) -> str:
    r"""A text without halves of letters, which JSON may hold and UTF-8 may not.

    >>> _storable("a\ud83d b")
    'a\ufffd b'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(response: object, what: str) -> int | None:
    match response:
        # True is an int to Python, and no column holds what has a hundred digits.
        case {"usage": {**usage}} if type(count := usage.get(what)) is int and 0 <= count < 2**31:
            return count
        case _:
            return None
