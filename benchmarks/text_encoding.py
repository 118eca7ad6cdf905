"""Texts of the identity-inference audit through a text tower of ViT-B/32's size, 77 tokens.

The library's own encoding at full length against ours, which sorts texts by length and stops each
batch at its last end token. Weights are random: what is timed does not depend on them.

    python benchmarks/text_encoding.py [--names 24] [--rounds 2]
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

from _timing import alternate, print_table
from vlmaudit.data.templates import IDIA_TEMPLATES, fill
from vlmaudit.models.loading import load_contrastive

TARGET = 4.0
BATCH = 256
FIRST = ("Adrianne", "Bob", "Chiwetel", "Dorothea", "Émile", "Gwendolyn", "Idris", "Jo")
LAST = ("Lovelace", "Ng", "Wolfeschlegelstein", "O'Brien", "de la Cruz", "Łuczak", "Smith")
CONFIG = {
    "embed_dim": 512,
    # The image tower is not asked for anything here.
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 512,
        "heads": 8,
        "layers": 12,
    },
}


def random_checkpoint(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    # Every second name or so, that first and last names of all lengths take part.
    names = [f"{first} {last}" for last, first in product(LAST, FIRST)]
    names = names[:: max(1, len(names) // arguments.names)][: arguments.names]
    texts = [fill(template, name) for template in IDIA_TEMPLATES for name in names]
    with tempfile.TemporaryDirectory() as folder:
        random_checkpoint(Path(folder))
        ours = load_contrastive(f"open_clip:{folder}", batch_size=BATCH)
        theirs = open_clip.create_model(f"local-dir:{folder}").eval()
        tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")

    @torch.inference_mode()
    def full_length() -> np.ndarray:
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        rows = [theirs.encode_text(tokenize(batch), normalize=True) for batch in batches]
        return torch.cat(rows).numpy()

    difference = np.abs(full_length() - ours.encode_texts(texts)).max()
    print(f"{len(texts)} texts, one thread; largest difference of a coordinate: {difference:.1e}")
    seconds = alternate(
        {"full length": full_length, "cut at the last end token": lambda: ours.encode_texts(texts)},
        rounds=arguments.rounds,
    )
    print_table(
        seconds,
        base="full length",
        target=f"target: {TARGET:.0f} x, difference at most 1e-5",
        note={
            name: f"{1000 * value / len(texts):.1f} ms a text" for name, value in seconds.items()
        },
    )


if __name__ == "__main__":
    main()
