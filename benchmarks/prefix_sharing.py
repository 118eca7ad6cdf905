"""30 prompts about one picture, 8 new tokens each: one by one, and with the prefix shared.

A LLaVA of 112 M parameters with random weights, fp32, one thread: what is timed does not depend
on the weights. It is asked at 576 image tokens, as LLaVA-1.5 has them, and at 64. The prompts are
those of The Phantom Menace, a token a word. All 30 answers are compared with those of plain
`generate`, token for token.

    python benchmarks/prefix_sharing.py [--one-by-one 4] [--rounds 3]

One by one is linear in prompts, so that it is timed on few of them and multiplied; the shared way
is timed on all, with the picture. All take turns.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from _timing import alternate, print_table
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.models.greedy import Inputs, Said
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.shared_prefix import SharedPrefix
from vlmaudit.models.sharing import Engine, OneByOne

TARGET, AIM = 6, 10
N_NEW_TOKENS, A_BATCH = 8, 10
SIDES = {576: 336, 64: 112}  # pixels of a picture that is cut into so many patches of 14
PAD, IMAGE, BEGIN, N_SPECIAL, VOCABULARY = 0, 1, 2, 3, 30_522
BEFORE, BEHIND = "USER :", "ASSISTANT :"


def random_llava(side: int) -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=side,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=24,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        initializer_range=0.08,  # at the usual 0.02 every answer is the same
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    model = LlavaForConditionalGeneration(config).eval()
    # No token ends an answer: each of them has the same length, whatever the weights say.
    model.generation_config = GenerationConfig(pad_token_id=PAD, eos_token_id=VOCABULARY)
    return model


def questions(n_image_tokens: int) -> list[Inputs]:
    """The thirty prompts about one picture, as a processor would give them."""
    numbers: dict[str, int] = {}

    def tokens(text: str) -> list[int]:
        words = text.split()
        return [numbers.setdefault(word, len(numbers) + N_SPECIAL) for word in words]

    random = torch.Generator().manual_seed(1)
    side = SIDES[n_image_tokens]
    pixels = torch.randn(1, 3, side, side, generator=random)
    begin = [BEGIN, *tokens(BEFORE), *[IMAGE] * n_image_tokens]
    asked = []
    for prompt in PROMPTS.values():
        ids = torch.tensor([[*begin, *tokens(prompt.text), *tokens(BEHIND)]])
        mask = torch.ones_like(ids)
        asked.append({"input_ids": ids, "attention_mask": mask, "pixel_values": pixels})
    return asked


def answers(engine: Engine, asked: Sequence[Inputs]) -> list[tuple[int, ...]]:
    said: Iterator[tuple[int, Said]] = engine.said(asked, N_NEW_TOKENS)
    return [each.tokens for _, each in sorted(said, key=lambda pair: pair[0])]


def measure(n_image_tokens: int, few: int, rounds: int) -> None:
    model = random_llava(SIDES[n_image_tokens])
    asked = questions(n_image_tokens)
    batch = BatchSize(A_BATCH, what="prompt", model="random LLaVA")
    alone = OneByOne(model)
    shared = SharedPrefix(model, batch, pad=PAD)
    expected = answers(alone, asked)
    same = sum(map(tuple.__eq__, answers(shared, asked), expected))
    print(
        f"{n_image_tokens} image tokens: {same} of {len(asked)} answers are the same "
        f"({len(set(expected))} distinct)"
    )
    seconds = alternate(
        {
            "one by one": lambda: answers(alone, asked[:few]),
            "shared prefix": lambda: answers(shared, asked),
        },
        rounds=rounds,
    )
    seconds["one by one"] *= len(asked) / few
    note = {
        "one by one": f"from {few} prompts",
        "shared prefix": "all prompts and the picture",
    }
    target = f"target at 576 image tokens: {TARGET} x ({AIM} x is the aim), all answers the same\n"
    print_table(seconds, base="one by one", target=target, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one-by-one", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    for n_image_tokens in SIDES:
        measure(n_image_tokens, arguments.one_by_one, arguments.rounds)


if __name__ == "__main__":
    main()
