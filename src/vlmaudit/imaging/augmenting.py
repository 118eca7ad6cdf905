"""Yardsticks of the gradient experiment: pictures and questions as augmentation has them."""

import re
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance

_ANGLE: Final = 30.0
_SCALE: Final = (0.8, 1.2)


def augment_picture(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turn, mirror, and change brightness and contrast, as the paper does (PROTOCOLS 1.6, E2).

    Up to 30 degrees either way on a canvas that grows along, mirrored at odds of one half,
    brightness and contrast each times a factor from 0.8 to 1.2.
    """
    turned = picture.convert("RGB").rotate(
        float(rng.uniform(-_ANGLE, _ANGLE)), resample=Image.Resampling.BILINEAR, expand=True
    )
    if rng.random() < 0.5:
        turned = turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    brighter = ImageEnhance.Brightness(turned).enhance(float(rng.uniform(*_SCALE)))
    return ImageEnhance.Contrast(brighter).enhance(float(rng.uniform(*_SCALE)))


def augment_question(question: str, rng: np.random.Generator) -> str:
    """Change one or two words of a question.

    The paper has a language model rewrite them. Here a word changes places with the next one or
    loses a letter inside: no second model is needed, and what it did can be repeated.
    """
    words = question.split()
    for _ in range(1 + int(rng.integers(2))):
        place = int(rng.integers(len(words))) if words else 0
        if place + 1 < len(words) and rng.random() < 0.5:
            words[place : place + 2] = [words[place + 1], words[place]]
        elif words:
            words[place] = _misspelt(words[place], rng)
    return " ".join(words)


def _misspelt(word: str, rng: np.random.Generator) -> str:
    letters = [match.start() for match in re.finditer(r"\w", word)][1:-1]
    if not letters:
        return word
    place = letters[int(rng.integers(len(letters)))]
    return word[:place] + word[place + 1 :]
