"""Every test: offline, in a home of its own, on one thread. And tiny checkpoints to ask."""

import importlib.util
import json
import os
import socket
import sys
from pathlib import Path

# Read when torch and the hub library are imported, which is later than this.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
from hypothesis import settings

# A shared machine is slow for reasons of its own: how long an example takes says nothing here.
settings.register_profile("vlmaudit", deadline=None)
settings.load_profile("vlmaudit")

SIDE, PATCH, WIDTH = 32, 8, 32
SPREAD = 0.3  # std of the weights: at the usual 0.02 all embeddings would be nearly the same


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """Nothing is read from, or left in, the home of whoever runs the tests."""
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.delenv("VLMAUDIT_CACHE", raising=False)


@pytest.fixture(autouse=True)
def network_attempts(request, monkeypatch):
    """No test reaches the network, and one that tries fails even where the error is swallowed.

    A test that means to try asks for this list and clears it. One that asks for `servers` reaches
    this machine, and nothing else.
    """
    attempts: list[str] = []
    if request.node.get_closest_marker("browser") is None:
        connect, look_up = socket.socket.connect, socket.getaddrinfo
        here = {"127.0.0.1"} if "servers" in request.fixturenames else set()

        def refuse(what):
            attempts.append(str(what))
            raise OSError(f"tests have no network (asked for {what})")

        def connect_here(self, address):
            if self.family == socket.AF_UNIX or address[0] in here:
                return connect(self, address)
            return refuse(address)

        def look_up_here(host, *args, **how):
            return look_up(host, *args, **how) if host in here else refuse(host)

        monkeypatch.setattr(socket.socket, "connect", connect_here)
        monkeypatch.setattr(socket.socket, "connect_ex", connect_here)
        monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield attempts
    assert not attempts, f"the test tried to reach {attempts}"


@pytest.fixture
def servers(monkeypatch):
    """What tests/servers.py holds; whoever asks for it may reach servers on this machine.

    No proxy and no key of whoever runs the tests has a say.
    """
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("VLMAUDIT_ENDPOINT_KEY", "VLMAUDIT_CHAT_KEY"):
        monkeypatch.delenv(name, raising=False)
    if (module := sys.modules.get("tests_servers")) is None:
        spec = importlib.util.spec_from_file_location(
            "tests_servers", Path(__file__).with_name("servers.py")
        )
        module = sys.modules["tests_servers"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


# Tiny checkpoints of real architectures, built from configurations. Their numbers are random;
# what is tested is our loading, cutting, batching and preparing.


@pytest.fixture(scope="session")
def tiny_open_clip(tmp_path_factory) -> Path:
    """A folder for `open_clip:./folder`: a CLIP with a causal text tower."""
    return _open_clip_folder(tmp_path_factory.mktemp("tiny") / "tiny-open-clip", _CLIP)


@pytest.fixture(scope="session")
def tiny_open_clip_custom(tmp_path_factory) -> Path:
    """A folder for `open_clip:./folder`: a CustomTextCLIP, whose text tower is a module."""
    return _open_clip_folder(tmp_path_factory.mktemp("tiny") / "tiny-custom", _CUSTOM)


@pytest.fixture(scope="session")
def tiny_open_clip_bidirectional(tmp_path_factory) -> Path:
    """A folder for `open_clip:./folder`: every token sees all others, padding too."""
    return _open_clip_folder(tmp_path_factory.mktemp("tiny") / "tiny-bidirectional", _TWO_WAYS)


@pytest.fixture(scope="session")
def tiny_open_clip_coca(tmp_path_factory) -> Path:
    """A folder for `open_clip:./folder`: a CoCa, which reads a class token behind all others."""
    return _open_clip_folder(tmp_path_factory.mktemp("tiny") / "tiny-coca", _COCA)


@pytest.fixture(scope="session")
def tiny_open_clip_file(tmp_path_factory) -> Path:
    """A file for `open_clip:tiny-test@FILE`; the architecture is made known to open_clip."""
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny-test.json").write_text(json.dumps(_CLIP))
    open_clip.add_model_config(folder / "tiny-test.json")
    model = _spread(open_clip.create_model("tiny-test", load_weights=False))
    file = folder / "epoch_7.pt"
    torch.save({"epoch": 7, "state_dict": model.state_dict()}, file)
    return file


@pytest.fixture(scope="session")
def tiny_hf_clip(tmp_path_factory) -> Path:
    """A folder for `hf:./folder`: a CLIP of transformers."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = _clip_tokenizer()
    config = CLIPConfig(
        text_config={
            **_tower(),
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 77,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**_tower(), "image_size": SIDE, "patch_size": PATCH},
        projection_dim=WIDTH,
    )
    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    folder = tmp_path_factory.mktemp("tiny") / "tiny-clip"
    return _saved(folder, CLIPModel(config), CLIPProcessor(images, tokenizer))


@pytest.fixture(scope="session")
def tiny_hf_siglip(tmp_path_factory) -> Path:
    """A folder for `hf:./folder`: a SigLIP, which pads in full and pools the last position."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    tokenizer = _siglip_tokenizer()
    config = SiglipConfig(
        text_config={
            **_siglip_text(tokenizer),
            "projection_size": WIDTH,
        },
        vision_config={**_tower(), "image_size": SIDE, "patch_size": PATCH},
    )
    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    folder = tmp_path_factory.mktemp("tiny") / "tiny-siglip"
    return _saved(folder, SiglipModel(config), SiglipProcessor(images, tokenizer))


@pytest.fixture(scope="session")
def tiny_hf_siglip2(tmp_path_factory) -> Path:
    """A folder for `hf:./folder`: a SigLIP 2 with pictures of any shape, cut into patches."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model, Siglip2Processor

    tokenizer = _siglip_tokenizer()
    config = Siglip2Config(
        text_config={**_siglip_text(tokenizer), "projection_size": WIDTH},
        vision_config={**_tower(), "num_patches": 16, "patch_size": PATCH},
    )
    images = Siglip2ImageProcessor(patch_size=PATCH, max_num_patches=16)
    folder = tmp_path_factory.mktemp("tiny") / "tiny-siglip2"
    return _saved(folder, Siglip2Model(config), Siglip2Processor(images, tokenizer))


@pytest.fixture(scope="session")
def tiny_hf_align(tmp_path_factory) -> Path:
    """A folder for `hf:./folder`: an ALIGN, whose text tower sees both ways under a mask."""
    from transformers import (
        AlignConfig,
        AlignModel,
        AlignProcessor,
        BertTokenizer,
        EfficientNetImageProcessor,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS]
    pieces = [*words, *(f"##{letter}" for letter in _LETTERS)]
    pieces += [f"[unused{number}]" for number in range(300)]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})
    config = AlignConfig(
        text_config={**_tower(), "vocab_size": len(pieces), "max_position_embeddings": 128},
        vision_config={
            "image_size": SIDE,
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "in_channels": [32],
            "out_channels": [WIDTH],
            "kernel_sizes": [3],
            "strides": [1],
            "num_block_repeats": [1],
            "expand_ratios": [1],
            "depthwise_padding": [],
            "hidden_dim": WIDTH,
        },
        projection_dim=WIDTH,
    )
    images = EfficientNetImageProcessor(size={"height": SIDE, "width": SIDE})
    folder = tmp_path_factory.mktemp("tiny") / "tiny-align"
    return _saved(folder, AlignModel(config), AlignProcessor(images, tokenizer))


_VISION = {"image_size": SIDE, "layers": 2, "width": 64, "head_width": 32, "patch_size": PATCH}
_TEXT = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 2}
_CLIP = {"embed_dim": WIDTH, "vision_cfg": _VISION, "text_cfg": _TEXT}
_CUSTOM = {**_CLIP, "custom_text": True}
_TWO_WAYS = {**_CUSTOM, "text_cfg": {**_TEXT, "no_causal_mask": True, "pool_type": "last"}}
_COCA = {
    "embed_dim": WIDTH,
    "vision_cfg": {
        **_VISION,
        "attentional_pool": True,
        "attn_pooler_heads": 2,
        "output_tokens": True,
    },
    "text_cfg": {**_TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {"context_length": 76, "width": WIDTH, "heads": 2, "layers": 1},
    "custom_text": True,
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'!-"


def _open_clip_folder(folder: Path, config: dict) -> Path:
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir()
    preprocessing = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocessing})
    (folder / "open_clip_config.json").write_text(text)
    model = _spread(open_clip.create_model(f"local-dir:{folder}", load_weights=False))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def _spread(model):
    """Fill the weights with numbers far enough apart that no two inputs look alike."""
    import torch

    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or name.endswith("bias"):
                parameter.normal_(std=SPREAD, generator=random)
    return model.eval()


def _saved(folder: Path, model, processor) -> Path:
    _spread(model).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tower() -> dict:
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }


def _siglip_text(tokenizer) -> dict:
    return {
        **_tower(),
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _clip_tokenizer():
    """One token a byte: no vocabulary needs to be trained."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _siglip_tokenizer():
    """One token a letter; SigLIP's own tokenizer class needs a sentencepiece file."""
    from transformers import GemmaTokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_LETTERS]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    return GemmaTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_max_length=64,
    )
