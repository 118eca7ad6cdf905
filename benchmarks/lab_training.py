"""Training a small CLIP: ours against a bare PyTorch loop over pictures that are decoded before.

The bare loop has its pictures as prepared floats and its captions as tokens in memory, draws no
batches and moves no picture; model, loss, optimizer and batches are the same. Ours reads bytes from
a file that is mapped into memory, and moves every picture. Pictures are noise and captions have the
lengths of real ones (14 tokens on average, up to 32).

    python benchmarks/lab_training.py [--pairs 256] [--steps 3] [--rounds 3]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import open_clip
import torch

from _timing import print_table
from vlmaudit.lab.architectures import build, find_architecture, lab_architectures, tokenizer_of
from vlmaudit.lab.contrastive import Training, train_contrastive
from vlmaudit.lab.mixture import Mixture, distinct_batches
from vlmaudit.lab.pixels import prepared
from vlmaudit.seeds import stream

TARGET = 0.90
SEED = 0
CONTEXT = 32
BARE, OURS, HALF = (
    "bare PyTorch loop, fp32",
    "train_contrastive, fp32",
    "train_contrastive, amp_bf16",
)
WORDS = ("a", "man", "dog", "girl", "red", "in", "on", "the", "street", "runs", "with", "ball")


def noise(folder: Path, side: int) -> Mixture:
    """1000 pictures in a file, and five captions of each."""
    rng = stream(SEED, "benchmark", side)
    file = folder / f"{side}.npy"
    np.save(file, rng.integers(0, 256, (1000, side, side, 3), dtype=np.uint8))
    lengths = np.clip(rng.gamma(6, 2, 5000).astype(int), 2, CONTEXT - 2)
    places = np.repeat(np.arange(1000), 5)
    return Mixture(
        pictures=np.load(file, mmap_mode="r"),
        captions=[" ".join(rng.choice(WORDS, length)) for length in lengths],
        faces=places,
        places=places,
    )


def bare(mixture: Mixture, settings: Training) -> tuple[list[float], list[float]]:
    """CPU seconds and loss of each step."""
    architecture = find_architecture(settings.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream(SEED, "weights").integers(2**63)))
        model = build(architecture).to(memory_format=torch.channels_last).train()
    tokens = tokenizer_of(architecture)(list(mixture.captions))
    pictures = prepared(np.array(mixture.pictures), "cpu")
    matrices = [value for value in model.parameters() if value.ndim >= 2]
    others = [value for value in model.parameters() if value.ndim < 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    loss_of = open_clip.ClipLoss()
    batches = [
        (pictures[mixture.places[batch]], tokens[batch])
        for batch in distinct_batches(
            mixture.faces,
            mixture.places,
            size=settings.batch_size,
            steps=settings.steps,
            rng=stream(SEED, "batches"),
        )
    ]
    seconds, losses = [], []
    for step, (shown, said) in enumerate(batches):
        start = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        loss = loss_of(*model(shown, said))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.process_time() - start)
    return seconds, losses


def ours(mixture: Mixture, settings: Training, out: Path) -> tuple[list[float], list[float]]:
    """CPU seconds of each step after the first, and every loss."""
    told: list[tuple[float, float]] = []
    train_contrastive(
        *(mixture, out),
        seed=SEED,
        settings=settings,
        progress=lambda step, steps, loss: told.append((time.process_time(), loss)),
    )
    return np.diff([moment for moment, _ in told]).tolist(), [loss for _, loss in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for architecture in lab_architectures():
            config = json.loads(json.dumps(find_architecture(architecture).config))
            config["text_cfg"]["context_length"] = CONTEXT
            (folder / f"{architecture}.json").write_text(json.dumps(config))
            fp32 = Training(
                steps=arguments.steps + 1,
                batch_size=arguments.pairs,
                architecture=str(folder / f"{architecture}.json"),
            )
            bf16 = Training(
                steps=fp32.steps,
                batch_size=fp32.batch_size,
                architecture=fp32.architecture,
                precision="amp_bf16",
            )
            mixture = noise(folder, fp32.image_side)
            still = Training(
                steps=fp32.steps,
                batch_size=fp32.batch_size,
                architecture=fp32.architecture,
                max_shift=0,
            )
            _, theirs = bare(mixture, still)
            _, losses = ours(mixture, still, folder / "still")
            apart = max(abs(one - other) for one, other in zip(theirs, losses, strict=True))
            steps = {BARE: [], OURS: [], HALF: []}
            for _ in range(arguments.rounds):
                steps[BARE] += bare(mixture, fp32)[0][1:]
                steps[OURS] += ours(mixture, fp32, folder / "fp32")[0]
                steps[HALF] += ours(mixture, bf16, folder / "bf16")[0]
            print(
                f"{architecture}, {fp32.image_side} px, batches of {fp32.batch_size}: the largest "
                f"difference of a loss in {fp32.steps} steps on the same batches is {apart:.1e}"
            )
            seconds = {name: median(values) for name, values in steps.items()}
            print_table(
                seconds,
                base=BARE,
                target=f"target: {TARGET} x in fp32, difference at most 1e-3",
                note={
                    name: f"{fp32.batch_size / value:.0f} pairs/s"
                    for name, value in seconds.items()
                },
            )


if __name__ == "__main__":
    main()
