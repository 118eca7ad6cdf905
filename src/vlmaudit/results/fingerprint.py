"""What makes two results the same result."""

import hashlib
import json

from vlmaudit.results.records import ModelRecord


def fingerprint(value: object) -> str:
    """A digest of any JSON-like value; the order of keys does not matter.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def case_key(picture: str, condition: str, model: ModelRecord, question: str = "") -> str:
    """The key of one case: these bytes, under this condition, shown to these weights.

    Where more is asked than the picture itself, `question` is the digest of all that decides the
    answer: prompt, decoding, or the labels to choose from.

    Batch size, device and library versions are not in it: they must not matter, and the
    environment that is written beside a run says what they were.
    """
    asked = {
        "picture": picture,
        "condition": condition,
        "weights": model.weights,
        "dtype": model.dtype,
        "attention": model.attention,
        "quantization": model.quantization,
    }
    return fingerprint(asked | {"question": question} if question else asked)
