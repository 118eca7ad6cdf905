"""Ten conditions of a picture of 512 pixels, with the offline finders, on one core.

Each picture is looked at once and rendered ten times; beside it stands looking anew for every
condition. Without pictures (--pictures FOLDER) people are drawn squares, in which a detector finds
nothing: then only given boxes are timed.

    python benchmarks/conditions.py [--pictures FOLDER] [--rounds 5]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from _timing import alternate, print_table
from vlmaudit.data.conditions import parse_conditions
from vlmaudit.data.images import is_picture, open_picture
from vlmaudit.imaging.backgrounds import load_backgrounds
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.faces import load_face_finder
from vlmaudit.imaging.people import load_figure_finder
from vlmaudit.imaging.rendering import Finders, Renderer, pixels_of
from vlmaudit.imaging.seams import Face

TARGET = 8
SIDE = 512
CONDITIONS = (
    "white,landscape,pixelated,white+pixelated,landscape+pixelated,blurred:8,masked,face-only,"
    "person-removed,own-background"
)


class OneFace:
    """A face in the middle of every picture."""

    name = "one face"

    def find(self, picture: np.ndarray, image: str) -> list[Face]:
        height, width = picture.shape[:2]
        return [Face(Box(width * 2 // 5, height // 5, width // 5, height // 4), 1.0)]


def drawn_picture(seed: int) -> np.ndarray:
    """A head and shoulders before noise."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 120, (SIDE, SIDE, 3), dtype=np.uint8)
    picture[100:232, 200:310] = (220, 170, 140)
    picture[232:, 120:390] = (30, 50, 170)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    conditions = parse_conditions(CONDITIONS.split(","))
    if arguments.pictures:
        files = sorted(filter(is_picture, arguments.pictures.iterdir()))
        pictures = []
        for file in files:
            picture = open_picture(file)
            if max(picture.size) >= SIDE:
                picture.thumbnail((SIDE, SIDE))
                pictures.append(pixels_of(picture))
        faces = load_face_finder("mtcnn")
    else:
        pictures, faces = [drawn_picture(seed) for seed in range(8)], OneFace()
    finders = Finders(faces, load_figure_finder("grabcut"))
    renderer = Renderer(conditions, finders, load_backgrounds(None, seed=0))

    def once() -> list[np.ndarray]:
        shown = []
        for place, picture in enumerate(pictures):
            found = renderer.find(picture, "", str(place))
            shown += [renderer.render(picture, found, one, str(place)).pixels for one in conditions]
        return shown

    def anew() -> list[np.ndarray]:
        shown = []
        for one in conditions:
            for place, picture in enumerate(pictures):
                found = renderer.find(picture, "", str(place))
                shown.append(renderer.render(picture, found, one, str(place)).pixels)
        return shown

    seconds = alternate(
        {"looking anew for each": anew, "looking once": once}, rounds=arguments.rounds
    )
    first, second = once(), anew()
    n = len(pictures)
    same = sum(
        (first[place * len(conditions) + number] == second[number * n + place]).all()
        for place in range(n)
        for number in range(len(conditions))
    )
    print(f"{same} of {len(first)} pictures are the same both ways")
    per_second = n / seconds["looking once"]
    print_table(
        seconds,
        base="looking anew for each",
        target=f"{per_second:.1f} pictures a CPU second under {len(conditions) - 1} conditions "
        f"(wanted {TARGET})",
    )


if __name__ == "__main__":
    main()
