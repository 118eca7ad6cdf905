"""Grounding DINO and SAM through their real classes, on checkpoints built here.

Networks of random weights find rubbish. What can be seen of them: boxes and outlines stand in the
picture's own pixels, and go on from there as those of the offline path do.
"""

import shutil

import numpy as np
import pytest
from PIL import Image

from vlmaudit.data.conditions import parse_condition
from vlmaudit.errors import ModelError
from vlmaudit.imaging.backgrounds import load_backgrounds
from vlmaudit.imaging.people import choose_subject, load_figure_finder
from vlmaudit.imaging.rendering import Finders, Renderer
from vlmaudit.imaging.seams import FigureFinder

pytestmark = pytest.mark.torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "person"]
SHAPE = (50, 70, 3)


def build_detector(folder):
    import torch
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    backbone = SwinConfig(
        image_size=64,
        embed_dim=12,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(
        GroundingDinoConfig(
            backbone_config=backbone,
            text_config=text,
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_queries=8,
        )
    ).save_pretrained(folder)
    processor = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate(WORDS)})
    GroundingDinoProcessor(processor, tokenizer).save_pretrained(folder)


def build_segmenter(folder):
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    torch.manual_seed(0)
    SamModel(
        SamConfig(
            vision_config={
                "hidden_size": 16,
                "output_channels": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 64,
                "patch_size": 8,
                "mlp_dim": 32,
                "window_size": 4,
                "global_attn_indexes": [1],
                "num_pos_feats": 8,
            },
            prompt_encoder_config={
                "hidden_size": 16,
                "image_size": 64,
                "patch_size": 8,
                "mask_input_channels": 4,
            },
            mask_decoder_config={
                "hidden_size": 16,
                "mlp_dim": 32,
                "num_attention_heads": 2,
                "iou_head_hidden_dim": 16,
                "iou_head_depth": 2,
            },
        )
    ).save_pretrained(folder)
    SamProcessor(
        SamImageProcessor(
            size={"longest_edge": 64},
            pad_size={"height": 64, "width": 64},
            mask_size={"longest_edge": 16},
            mask_pad_size={"height": 16, "width": 16},
        )
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("grounded")
    build_detector(root / "dino")
    build_segmenter(root / "sam")
    return root / "dino", root / "sam"


@pytest.fixture(scope="module")
def finder(checkpoints):
    from vlmaudit.imaging.grounded import GroundedPeople

    return GroundedPeople(*map(str, checkpoints), sure=0.0)


def picture():
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def test_people_stand_in_the_pictures_own_pixels(finder):
    boxes, scores = finder._boxes(Image.fromarray(picture()))
    assert len(boxes) == len(scores) == 8
    height, width = SHAPE[:2]
    for left, top, right, bottom in boxes:
        assert -1 <= left <= right <= width + 1
        assert -1 <= top <= bottom <= height + 1
    # Two and more pixels wide on average: in the picture's pixels, and not in shares of it.
    assert max(right - left for left, _, right, _ in boxes) > 2
    figures = finder.find(picture(), (), "")
    assert figures
    for one in figures:
        assert one.mask.shape == SHAPE[:2]
        assert one.mask.dtype == np.uint8
        assert one.box == one.box.clipped(width=width, height=height)
    assert [one.box.area for one in figures] == sorted(
        (one.box.area for one in figures), reverse=True
    )


def test_the_outline_is_asked_for_in_each_box(finder):
    shown = Image.fromarray(picture())
    boxes = [[2.0, 2.0, 20.0, 40.0], [30.0, 10.0, 69.0, 49.0], [0.0, 0.0, 70.0, 50.0]]
    masks = finder._masks(shown, boxes)
    assert [mask.shape for mask in masks] == [SHAPE[:2]] * 3
    # Asked for one alone, each is what it is among others.
    (alone,) = finder._masks(shown, boxes[1:2])
    assert (alone == masks[1]).all()


def test_the_same_picture_has_the_same_people(finder):
    first, again = (finder.find(picture(), (), "") for _ in range(2))
    assert all((one.mask == other.mask).all() for one, other in zip(first, again, strict=True))


def test_sure_boxes_alone_count(checkpoints):
    from vlmaudit.imaging.grounded import GroundedPeople

    doubtful = GroundedPeople(*map(str, checkpoints), sure=1.0)
    assert doubtful.find(picture(), (), "") == []


def test_what_it_finds_goes_on_as_the_offline_path_does(finder):
    class Nobody:
        name = "nobody"
        looks = True

        def find(self, picture, image):
            return []

    assert isinstance(finder, FigureFinder)
    conditions = [parse_condition("white"), parse_condition("landscape")]
    renderer = Renderer(conditions, Finders(Nobody(), finder), load_backgrounds(None, seed=0))
    found = renderer.find(picture(), "", "a/1.jpg")
    figures = finder.find(picture(), (), "")
    subject = choose_subject(figures, (), width=70, height=50)
    assert found.figures == len(figures)
    assert found.subject == subject.why
    assert (found.mask == figures[subject.place].mask).all()
    for condition in conditions:
        shown = renderer.render(picture(), found, condition, "a/1.jpg")
        assert shown.lacks == ""
        assert (shown.pixels[found.mask == 255] == picture()[found.mask == 255]).all()
    white = renderer.render(picture(), found, conditions[0], "a/1.jpg").pixels
    assert (white[found.mask == 0] == 255).all()


def test_the_command_line_names_both(checkpoints):
    detector, segmenter = checkpoints
    finder = load_figure_finder(f"grounded:{detector},{segmenter}")
    assert finder.name.startswith("Grounding DINO (")
    assert "SAM (" in finder.name


def test_missing_weights_are_said_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="or use grabcut, which needs no weights") as problem:
        load_figure_finder(f"grounded:{tmp_path / 'dino'},{tmp_path / 'sam'}")
    assert "\n" not in str(problem.value)


def test_a_folder_in_the_home_is_found(checkpoints, monkeypatch):
    monkeypatch.setenv("HOME", str(checkpoints[0].parent))
    assert load_figure_finder("grounded:~/dino,~/sam").name.startswith("Grounding DINO (")


def copied(folder, to):
    shutil.copytree(folder, to)
    return to / "model.safetensors"


def test_weights_that_are_missing_are_not_made_up(checkpoints, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = copied(checkpoints[1], tmp_path / "sam")
    kept = {name: values for name, values in load_file(weights).items() if "neck" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of the network.*vision_encoder\.neck"):
        load_figure_finder(f"grounded:{checkpoints[0]},{tmp_path / 'sam'}")


def test_damaged_weights_are_said_in_one_line(checkpoints, tmp_path):
    weights = copied(checkpoints[0], tmp_path / "dino")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded") as problem:
        load_figure_finder(f"grounded:{tmp_path / 'dino'},{checkpoints[1]}")
    assert "\n" not in str(problem.value)


def test_another_kind_of_network_is_none(checkpoints):
    detector, segmenter = checkpoints
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_figure_finder(f"grounded:{segmenter},{detector}")


def test_a_detector_of_another_kind_is_refused_at_the_door(checkpoints, tmp_path):
    from transformers import OwlViTConfig, OwlViTForObjectDetection

    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text, vision = {**small, "vocab_size": 20}, {**small, "image_size": 16, "patch_size": 8}
    config = OwlViTConfig(text_config=text, vision_config=vision, projection_dim=16)
    OwlViTForObjectDetection(config).save_pretrained(tmp_path / "owl")
    with pytest.raises(ModelError, match="of the kind owlvit; wanted grounding-dino"):
        load_figure_finder(f"grounded:{tmp_path / 'owl'},{checkpoints[1]}")
