"""What every contrastive model promises, asked of a tiny checkpoint of each family."""

import json
import shutil
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vlmaudit.errors import ModelError, OutOfMemoryError
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.models.loading import load_contrastive
from vlmaudit.seeds import stream

pytestmark = pytest.mark.torch

# The scheme and, where a checkpoint is needed, the fixture that builds it.
KINDS = {
    "open_clip": "open_clip:{tiny_open_clip}",
    "open_clip file": "open_clip:tiny-test@{tiny_open_clip_file}",
    "open_clip custom text": "open_clip:{tiny_open_clip_custom}",
    "open_clip bidirectional": "open_clip:{tiny_open_clip_bidirectional}",
    "open_clip CoCa": "open_clip:{tiny_open_clip_coca}",
    "CLIP": "hf:{tiny_hf_clip}",
    "SigLIP": "hf:{tiny_hf_siglip}",
    "SigLIP 2": "hf:{tiny_hf_siglip2}",
    "ALIGN": "hf:{tiny_hf_align}",
    "scripted": "scripted:{scripted_file}",
}
TORCH_KINDS = [kind for kind in KINDS if kind != "scripted"]
TEXTS = (
    "a",
    "a photo of Ada Lovelace",
    "the name of the person is Grace Brewster Murray Hopper",
    "ngũgĩ, 42!",
    "",
    "an image of " + "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff " * 8,
    "a cropped photo of Alan Turing",
)
# Rounding of fp32 over another order of sums; texts and pictures differ by far more.
NOISE = 5e-6


@pytest.fixture(scope="session")
def scripted_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("scripted") / "knows.json"
    file.write_text(json.dumps({"people": {"#ff0000": "Ada Lovelace"}, "hubs": ["Alan Turing"]}))
    return file


@pytest.fixture(scope="session")
def spec_of(request) -> Callable[[str], str]:
    def fill(kind: str) -> str:
        scheme, _, fixture = KINDS[kind].partition("{")
        return scheme + str(request.getfixturevalue(fixture.removesuffix("}")))

    return fill


@pytest.fixture(scope="session")
def model_of(spec_of) -> Callable[..., ContrastiveModel]:
    loaded: dict[tuple, ContrastiveModel] = {}

    def load(kind: str, **how) -> ContrastiveModel:
        key = (kind, *sorted(how.items()))
        if key not in loaded:
            loaded[key] = load_contrastive(spec_of(kind), **how)
        return loaded[key]

    return load


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def model(kind, model_of) -> ContrastiveModel:
    return model_of(kind)


def pictures(n: int = 5) -> list[Image.Image]:
    rng = stream(3, "pictures")
    sizes = [(40, 30), (32, 32), (20, 64), (90, 33), (48, 48)]
    return [
        Image.fromarray(rng.integers(0, 256, (*sizes[k % 5], 3), dtype=np.uint8)) for k in range(n)
    ]


def test_satisfies_the_protocol(model):
    assert isinstance(model, ContrastiveModel)


def test_embeddings_are_fp32_and_of_unit_length_in_one_space(model):
    images, texts = model.encode_images(pictures()), model.encode_texts(TEXTS)
    assert images.dtype == texts.dtype == np.float32
    assert images.shape == (5, texts.shape[1])
    for rows in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_tells_inputs_apart(model):
    """Without this, a model that always answers the same would pass everything below."""
    for rows in (model.encode_images(pictures()), model.encode_texts(TEXTS)):
        gram = rows @ rows.T
        assert (gram[~np.eye(len(rows), dtype=bool)] < 1 - 1e-3).all()


def test_answers_do_not_depend_on_the_batch_size(kind, model, model_of):
    for size in (1, 3):
        other = model_of(kind, batch_size=size)
        np.testing.assert_allclose(other.encode_texts(TEXTS), model.encode_texts(TEXTS), atol=NOISE)
        np.testing.assert_allclose(
            other.encode_images(pictures()), model.encode_images(pictures()), atol=NOISE
        )


def test_answers_do_not_depend_on_order_or_neighbours(model):
    texts, images = model.encode_texts(TEXTS), model.encode_images(pictures())
    order = [4, 2, 6, 0, 5, 1, 3]
    shuffled = model.encode_texts([TEXTS[k] for k in order])
    np.testing.assert_allclose(shuffled, texts[order], atol=NOISE)
    for k, text in enumerate(TEXTS):
        np.testing.assert_allclose(model.encode_texts([text])[0], texts[k], atol=NOISE)
    for k, picture in enumerate(pictures()):
        np.testing.assert_allclose(model.encode_images([picture])[0], images[k], atol=NOISE)


def test_empty_input_has_the_width_of_the_space(model):
    dim = model.encode_texts(["a"]).shape[1]
    for rows in (model.encode_texts([]), model.encode_images([])):
        assert rows.shape == (0, dim)
        assert rows.dtype == np.float32


def test_answers_are_repeatable_bit_for_bit(kind, model, spec_of):
    again = load_contrastive(spec_of(kind))
    assert again.record == model.record
    np.testing.assert_array_equal(again.encode_texts(TEXTS), model.encode_texts(TEXTS))
    np.testing.assert_array_equal(again.encode_images(pictures()), model.encode_images(pictures()))


def test_record_names_no_path(kind, model, spec_of, tmp_path_factory):
    record = model.record
    assert str(tmp_path_factory.getbasetemp()) not in record.model_dump_json()
    assert record.name.startswith(f"{record.family}:")
    assert len(record.weights) == 32
    assert int(record.weights, 16) >= 0
    assert record.dtype == "float32"


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]
)
def test_pictures_of_any_mode(model, mode):
    source = Image.new("RGB", (40, 40), (40, 90, 200))
    if mode in {"1", "I;16"}:
        picture = Image.new(mode, (40, 40))
    else:
        picture = source.convert("L" if mode in {"I", "F"} else mode).convert(mode)
    (row,) = model.encode_images([picture])
    assert np.isfinite(row).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (3, 3), (500, 20)])
def test_pictures_of_any_size(model, size):
    (row,) = model.encode_images([Image.new("RGB", size, (40, 90, 200))])
    assert np.isfinite(row).all()


def test_one_pixel_pictures_keep_their_colour(model):
    """A 1 x 1 RGB picture must not be mistaken for another layout of its three numbers."""
    small = model.encode_images([Image.new("RGB", (1, 1), colour) for colour in ("red", "blue")])
    assert small[0] @ small[1] < 1 - 1e-3


def test_what_is_transparent_is_white(kind, model):
    square = Image.new("RGBA", (40, 40), (200, 30, 30, 0))
    square.paste((20, 60, 220, 255), (10, 10, 40, 40))
    white = Image.new("RGB", (40, 40), "white")
    white.paste((20, 60, 220), (10, 10, 40, 40))
    np.testing.assert_array_equal(model.encode_images([square]), model.encode_images([white]))


def test_pictures_are_turned_upright(model, tmp_path):
    upright = pictures(1)[0].resize((40, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    with Image.open(tmp_path / "lying.png") as lying:
        np.testing.assert_array_equal(model.encode_images([lying]), model.encode_images([upright]))


def test_pictures_are_left_as_they_were(model):
    picture = Image.new("RGBA", (40, 40), (200, 30, 30, 90))
    before = picture.tobytes()
    model.encode_images([picture])
    assert picture.mode == "RGBA"
    assert picture.tobytes() == before


# From here on: what concerns checkpoints, and so no scripted model.


@pytest.fixture(params=["open_clip", "open_clip custom text", "CLIP", "SigLIP", "ALIGN"])
def folder(request, spec_of, tmp_path):
    """A copy of a checkpoint's folder, to be changed."""
    scheme, _, source = spec_of(request.param).partition(":")
    copy = shutil.copytree(source, tmp_path / source.rpartition("/")[2])
    return scheme, copy


def rewrite_weights(folder, change):
    from safetensors.torch import load_file, save_file

    (file,) = folder.glob("*.safetensors")
    state = load_file(file)
    change(state)
    save_file(state, file, metadata={"format": "pt"})


def test_one_changed_weight_changes_the_digest(folder):
    scheme, path = folder
    before = load_contrastive(f"{scheme}:{path}").record

    def change(state):
        name = max(state, key=lambda each: state[each].numel())
        state[name].view(-1)[5] += 1e-3

    rewrite_weights(path, change)
    after = load_contrastive(f"{scheme}:{path}").record
    assert after.weights != before.weights
    assert after.model_copy(update={"weights": before.weights}) == before


def test_changed_preprocessing_changes_the_digest(folder):
    scheme, path = folder
    before = load_contrastive(f"{scheme}:{path}").record.weights
    changed = 0
    for file in path.glob("*.json"):
        text = file.read_text()
        new = text.replace('"bicubic"', '"bilinear"').replace('"resample": 3', '"resample": 2')
        changed += new != text
        file.write_text(new)
    assert changed
    assert load_contrastive(f"{scheme}:{path}").record.weights != before


def test_weights_that_are_not_numbers_come_out_as_nan(folder):
    """A broken answer must reach the caller as such, to be recorded as a failure."""
    scheme, path = folder

    def change(state):
        for name in state:
            if "visual.conv1" in name or "patch_embedding.weight" in name or "convolution" in name:
                state[name].view(-1)[0] = float("nan")

    rewrite_weights(path, change)
    model = load_contrastive(f"{scheme}:{path}")
    assert np.isnan(model.encode_images(pictures())).all()
    assert np.isfinite(model.encode_texts(TEXTS)).all()


@pytest.mark.parametrize("kind", [kind for kind in TORCH_KINDS if kind != "open_clip CoCa"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_arithmetic_is_returned_in_fp32_and_stays_near(kind, dtype, model_of):
    narrow, wide = model_of(kind, dtype=dtype), model_of(kind)
    for method, inputs in (("encode_texts", TEXTS), ("encode_images", pictures())):
        rows, exact = getattr(narrow, method)(inputs), getattr(wide, method)(inputs)
        assert rows.dtype == np.float32
        assert ((rows * exact).sum(axis=1) > 0.98).all()
        assert not np.array_equal(rows, exact)
    assert narrow.record.dtype == dtype


def test_arithmetic_that_the_library_cannot_do_is_refused(spec_of):
    with pytest.raises(ModelError, match=r"cannot run it in bfloat16.* use float32"):
        load_contrastive(spec_of("open_clip CoCa"), dtype="bfloat16")


@pytest.mark.parametrize("kind", [kind for kind in TORCH_KINDS if kind.startswith("open_clip")])
def test_open_clip_answers_as_the_library_does_at_full_length(kind, spec_of, model_of):
    import open_clip
    import torch

    source = spec_of(kind).removeprefix("open_clip:")
    name, _, file = source.partition("@")
    how = (name, file) if file else (f"local-dir:{name}",)
    theirs, _, prepare = open_clip.create_model_and_transforms(*how)
    tokens = open_clip.get_tokenizer(how[0])(list(TEXTS))
    with torch.inference_mode():
        texts = theirs.eval().encode_text(tokens, normalize=True).numpy()
        images = theirs.encode_image(
            torch.stack([prepare(each) for each in pictures()]), normalize=True
        )
    ours = model_of(kind)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), texts, atol=NOISE)
    np.testing.assert_allclose(ours.encode_images(pictures()), images.numpy(), atol=NOISE)


@pytest.mark.parametrize("kind", ["CLIP", "SigLIP", "SigLIP 2", "ALIGN"])
def test_transformers_models_answer_as_the_library_does_at_full_length(kind, spec_of, model_of):
    import torch
    from transformers import AutoModel, AutoProcessor

    folder = spec_of(kind).removeprefix("hf:")
    theirs, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    lengths = {"CLIP": 77, "ALIGN": 64}
    how = {"padding": "max_length", "truncation": True, "max_length": lengths.get(kind, 64)}
    # SigLIP was trained on lower-case text and without a mask over the padding.
    siglip = kind.startswith("SigLIP")
    asked = [text.lower() if siglip else text for text in TEXTS]
    encoded = processor(text=asked, return_tensors="pt", **how)
    encoded |= processor.image_processor(pictures(), return_tensors="pt")
    if siglip:
        del encoded["attention_mask"]
    with torch.inference_mode():
        output = theirs.eval()(**encoded)
    ours = model_of(kind)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), output.text_embeds, atol=NOISE)
    np.testing.assert_allclose(ours.encode_images(pictures()), output.image_embeds, atol=NOISE)


@pytest.mark.parametrize("kind", ["SigLIP", "SigLIP 2"])
def test_siglip_reads_lower_case(kind, model_of):
    loud, soft = model_of(kind).encode_texts(["A Photo of ADA Lovelace", "a photo of ada lovelace"])
    np.testing.assert_array_equal(loud, soft)


# A causal tower, or one that masks its padding.
CUT = {"open_clip", "open_clip file", "open_clip custom text", "CLIP", "ALIGN"}


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_padding_is_computed_only_where_it_counts(kind, model_of, monkeypatch):
    import torch

    widths = []
    forward = torch.nn.Embedding.forward

    def watch(self, tokens):
        if self.num_embeddings > 256:  # the table of words, not that of positions
            widths.append(tokens.shape[-1])
        return forward(self, tokens)

    model = model_of(kind)
    monkeypatch.setattr(torch.nn.Embedding, "forward", watch)
    model.encode_texts(["a", "an image of Ada Lovelace"])
    full = {"open_clip CoCa": 76, "SigLIP": 64, "SigLIP 2": 64}.get(kind, 77)
    assert widths
    if kind in CUT:
        assert max(widths) < 30
    else:
        assert set(widths) == {full}


def test_a_cut_that_is_not_exact_is_not_used(spec_of, model_of, monkeypatch):
    """What a tower seems to be is believed only once it has been seen to hold."""
    from vlmaudit.models.open_clip_adapter import _CausalTower

    honest = model_of("open_clip").encode_texts(TEXTS)
    monkeypatch.setattr(_CausalTower, "pooled_positions", lambda _, tokens: tokens[:, 0] * 0 + 1)
    misled = load_contrastive(spec_of("open_clip"))
    np.testing.assert_allclose(misled.encode_texts(TEXTS), honest, atol=NOISE)


def test_padding_that_counts_is_always_the_same(spec_of, tmp_path):
    """Padded on the left, a text's tokens move with the longest text beside it."""
    folder = shutil.copytree(spec_of("CLIP").removeprefix("hf:"), tmp_path / "left")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    # CLIP's own padding, the end token, is also what its tower reads: on the left it hides texts.
    text = json.dumps({**settings, "padding_side": "left", "pad_token": "!"})
    (folder / "tokenizer_config.json").write_text(text)
    model = load_contrastive(f"hf:{folder}")
    together = model.encode_texts(TEXTS)
    assert len(np.unique(together.round(3), axis=0)) == len(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(model.encode_texts([text])[0], row, atol=NOISE)


def scarce(model, monkeypatch, side, room):
    """Let one tower raise what a full device raises for batches of more than `room`."""
    import torch

    sizes, inner = [], model._model
    for name in (f"encode_{side}", f"get_{side}_features"):
        if hasattr(inner, name):
            honest = getattr(inner, name)

            def encode(*args, honest=honest, **kwargs):
                size = len(args[0] if args else next(iter(kwargs.values())))
                sizes.append(size)
                if size > room:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return honest(*args, **kwargs)

            monkeypatch.setattr(inner, name, encode)
    return sizes


@pytest.mark.parametrize("kind", TORCH_KINDS)
def test_out_of_memory_halves_the_batch_and_changes_nothing(kind, spec_of, monkeypatch):
    model = load_contrastive(spec_of(kind), batch_size=8)
    asked = [*TEXTS, *TEXTS[::-1]]
    texts, images = model.encode_texts(asked), model.encode_images(pictures(9))
    assert (model.image_batch, model.text_batch) == (8, 8)
    sizes = scarce(model, monkeypatch, "image", 3)
    np.testing.assert_allclose(model.encode_images(pictures(9)), images, atol=NOISE)
    assert sizes == [8, 4, 2, 2, 2, 2, 1]
    assert (model.image_batch, model.text_batch) == (2, 8)
    sizes = scarce(model, monkeypatch, "text", 3)
    np.testing.assert_allclose(model.encode_texts(asked), texts, atol=NOISE)
    assert sizes == [8, 4, *[2] * 7]
    assert model.text_batch == 2
    sizes.clear()
    model.encode_texts(asked)
    assert sizes == [2] * 7


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize(("side", "what"), [("image", "picture"), ("text", "text")])
def test_one_that_does_not_fit_alone_is_said(kind, side, what, spec_of, monkeypatch):
    model = load_contrastive(spec_of(kind))
    scarce(model, monkeypatch, side, 0)
    with pytest.raises(
        OutOfMemoryError, match=f'^model "{model.record.name}": not even one {what}'
    ):
        model.encode_images(pictures(3)) if side == "image" else model.encode_texts(TEXTS)
