"""A million answers judged against 500 people and 500 other names; the paper's rule, name by name.

One core. The paper's reading is checked against `name.lower() in answer.lower()` on a sample.

    python benchmarks/name_matching.py [--answers 1000000] [--people 500] [--others 500]
"""

import argparse
import time

import numpy as np

from _timing import alternate, print_table
from vlmaudit.audits.name_leakage.outcomes import judge
from vlmaudit.data.candidates import draw_names
from vlmaudit.data.name_matching import Known, NameMatcher
from vlmaudit.seeds import stream

WORDS = "woman with short dark hair wearing blue shirt standing in front of wall smiling at camera"
SENTENCES = (
    "The person in the picture is {name}, {words}. {number}",
    "The image might show {name}. {words} {number}",
    "I'm sorry, but I cannot identify the person. {words} {number}",
    "The image shows a {words}, {words}. {number}",
    "A {words} {number}",
)
SAMPLE = 2000
TARGET = 25.0


def draw_answers(count: int, names: list[str]) -> list[str]:
    """Different answers of about a hundred signs, two in five of them with a name."""
    rng = stream(0, "benchmark", "answers")
    words = WORDS.split()
    chosen = rng.integers([len(SENTENCES), len(names)], size=(count, 2))
    described = rng.choice(words, size=(count, 8))
    return [
        SENTENCES[sentence].format(
            name=names[name], words=" ".join(described[number]), number=number
        )
        for number, (sentence, name) in enumerate(chosen)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--others", type=int, default=500)
    arguments = parser.parse_args()

    rng = stream(0, "benchmark", "names")
    names = draw_names(arguments.people + arguments.others, sex="", origin="en_US", rng=rng)
    people = names[: arguments.people]
    matcher = NameMatcher([Known(name) for name in people], names[arguments.people :])
    answers = draw_answers(arguments.answers, names)
    own = rng.integers(len(people), size=len(answers)).tolist()

    sample = answers[:SAMPLE]

    def name_by_name() -> list[tuple[int, ...]]:
        return [
            tuple(place for place, name in enumerate(people) if name.lower() in answer.lower())
            for answer in sample
        ]

    at_once = judge(sample, own[:SAMPLE], matcher, protocol="paper").affirmed
    print(
        f"{sum(map(len, at_once))} names in a sample: as plain search: {at_once == name_by_name()}"
    )
    seconds = alternate(
        {
            "paper, name by name": name_by_name,
            "paper": lambda: judge(sample, own[:SAMPLE], matcher, protocol="paper"),
            "audit": lambda: judge(sample, own[:SAMPLE], matcher),
        },
        rounds=5,
    )
    print_table(seconds, base="paper, name by name", target=f"({SAMPLE} answers)")

    signs = np.mean([len(answer) for answer in answers])
    begin = time.process_time()
    judge(answers, own, matcher)
    print(
        f"audit, {len(answers)} different answers of {signs:.0f} signs: "
        f"{time.process_time() - begin:.1f} CPU seconds; target: {TARGET:.0f} for a million"
    )


if __name__ == "__main__":
    main()
