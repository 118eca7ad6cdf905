"""1,000 candidate names after one picture of 576 image tokens: in a trie, in batches, one by one.

A LLaVA of 112 M parameters with random weights, fp32, one thread: what is timed does not depend
on the weights. OpenCLIP's tokenizer cuts the names into tokens, and an end token makes each of
them an answer. Two pools: every one of 40 first names with every one of 25 last names, and names
drawn as a study's decoys are, which share little of their beginnings. No pool can do better than
a pass for each name's last token, since only it tells how likely the end is.

    python benchmarks/candidate_scoring.py [--one-by-one 3] [--in-batches 32] [--rounds 3]

Name by name is linear in names, so that it is timed on few of them and multiplied; so are
batches. The tries are timed on all names, picture and prompt included. All take turns.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from _timing import alternate, print_table
from vlmaudit.data.candidates import draw_names
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.trie_scoring import (
    NODES_A_PACK,
    Prefix,
    score_in_batches,
    score_packed,
    trie_of,
)
from vlmaudit.seeds import stream

TARGET = 300
AGREEMENT = 1e-4
IMAGE, END, N_SPECIAL = 1, 2, 3
N_IMAGE_TOKENS, N_PROMPT_TOKENS, VOCABULARY = 576, 20, 30_522
N_NAMES, N_FIRST = 1000, 40


def random_llava() -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=336,
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
        initializer_range=0.08,  # at the usual 0.02 every name is as likely as the next
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE,
        image_seq_length=N_IMAGE_TOKENS,
    )
    return LlavaForConditionalGeneration(config).eval()


def names_drawn() -> list[str]:
    return draw_names(N_NAMES, sex="", origin="en_US", rng=stream(0, "benchmark", "names"))


def names_crossed() -> list[str]:
    words = [name.split() for name in names_drawn()]
    first, last = (list(dict.fromkeys(each[place] for each in words)) for place in (0, -1))
    return [f"{one} {other}" for one, other in product(first[:N_FIRST], last[: N_NAMES // N_FIRST])]


def candidates_of(names: Sequence[str]) -> list[list[int]]:
    tokenizer = SimpleTokenizer()
    numbers: dict[int, int] = {}  # as if the vocabulary were the model's own
    return [
        [*(numbers.setdefault(piece, len(numbers) + N_SPECIAL) for piece in pieces), END]
        for pieces in map(tokenizer.encode, names)
    ]


class Question:
    """A picture and a prompt, asked of a model in three ways."""

    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        random = torch.Generator().manual_seed(1)
        self.model = model
        self.pixels = torch.randn(1, 3, 336, 336, generator=random)
        words = torch.randint(N_SPECIAL, VOCABULARY, (N_PROMPT_TOKENS,), generator=random)
        self.prompt = torch.cat([torch.full((N_IMAGE_TOKENS,), IMAGE), words])

    @torch.inference_mode()
    def prefix(self) -> Prefix:
        output = self.model(
            input_ids=self.prompt[None],
            pixel_values=self.pixels,
            use_cache=True,
            logits_to_keep=1,
        )
        return Prefix(output.past_key_values, output.logits[0, -1])

    @torch.inference_mode()
    def one_by_one(self, candidates: list[list[int]]) -> np.ndarray:
        scores = []
        for candidate in candidates:
            ids = torch.cat([self.prompt, torch.tensor(candidate)])[None]
            logits = self.model(
                input_ids=ids,
                pixel_values=self.pixels,
                use_cache=False,
                logits_to_keep=len(candidate) + 1,
            ).logits[0, :-1]
            rows = logits.float().log_softmax(dim=-1)
            scores.append(rows[range(len(candidate)), candidate].double().sum().item())
        return np.array(scores)

    def in_batches(self, candidates: list[list[int]]) -> np.ndarray:
        batch = BatchSize(8, what="candidate", model="random LLaVA")
        return score_in_batches(self.model, self.prefix(), candidates, batch=batch)

    def in_trie(self, candidates: list[list[int]]) -> np.ndarray:
        pack = BatchSize(NODES_A_PACK, what="candidate", model="random LLaVA")
        return score_packed(self.model, self.prefix(), candidates, pack=pack)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one-by-one", type=int, default=3)
    parser.add_argument("--in-batches", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    pools = {
        "trie, crossed names": candidates_of(names_crossed()),
        "trie, drawn names": candidates_of(names_drawn()),
    }
    for name, candidates in pools.items():
        trie = trie_of(candidates)
        tokens = sum(map(len, candidates)) / len(candidates)
        print(f"{name}: {tokens:.1f} tokens a name, {len(trie.inner)} nodes are fed")
    question = Question(random_llava())
    drawn = pools["trie, drawn names"]
    few, some = drawn[: arguments.one_by_one], drawn[: arguments.in_batches]
    found = question.in_trie(drawn)
    apart = np.abs(found[: len(few)] - question.one_by_one(few)).max()
    also_apart = np.abs(found[: len(some)] - question.in_batches(some)).max()
    print(
        f"largest difference of a log-probability: {apart:.1e} from name by name "
        f"({len(few)} names), {also_apart:.1e} from batches ({len(some)} names)"
    )
    seconds = alternate(
        {
            "picture and prompt": question.prefix,
            "name by name": lambda: question.one_by_one(few),
            "batches of 8": lambda: question.in_batches(some),
            **{name: partial(question.in_trie, names) for name, names in pools.items()},
        },
        rounds=arguments.rounds,
    )
    before = seconds.pop("picture and prompt")
    seconds["name by name"] *= N_NAMES / len(few)
    seconds["batches of 8"] = before + (seconds["batches of 8"] - before) * N_NAMES / len(some)
    note = {
        "name by name": f"from {len(few)} names",
        "batches of 8": f"from {len(some)} names, picture and prompt once",
        **dict.fromkeys(pools, f"{before:.2f} s of it picture and prompt"),
    }
    target = f"target: {TARGET} x, difference at most {AGREEMENT:g}"
    print_table(seconds, base="name by name", target=target, note=note)


if __name__ == "__main__":
    main()
