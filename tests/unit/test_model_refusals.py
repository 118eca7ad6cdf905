"""Models that are not loaded, and the one line that says why and what to do."""

import json
import pickle
import shutil

import pytest

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.loading import load_contrastive

pytestmark = pytest.mark.torch


def refusal(spec, **options) -> str:
    """What is said about the model, without the part that names it."""
    with pytest.raises(ModelError) as error:
        load_contrastive(spec, **options)
    message = str(error.value)
    assert "\n" not in message
    start = f'model "{spec}": '
    assert message.startswith(start)
    return message.removeprefix(start)


# Published weights: decided from open_clip's tables, before anything is fetched.


def test_an_unknown_architecture():
    assert refusal("open_clip:ViT-B-23/laion400m_e32") == (
        "no such architecture. Did you mean ViT-B-32?"
    )
    assert refusal("open_clip:ViT-B/32") == "no such architecture. Did you mean ViT-B-32?"
    assert refusal("open_clip:zzz@/tmp/a.pt") == "no such architecture."


def test_unknown_weights():
    assert refusal("open_clip:ViT-B-16/laion400m_e23") == (
        "no such weights. Did you mean laion400m_e32?"
    )
    assert refusal("open_clip:ViT-B-16-plus-240/zz") == (
        "no such weights. Known: laion400m_e31, laion400m_e32."
    )


@pytest.mark.parametrize(
    ("asked", "right", "trained", "runs"),
    [
        ("ViT-B-32/laion400m_e32", "ViT-B-32-quickgelu/laion400m_e32", "with", "without"),
        ("ViT-B-32/openai", "ViT-B-32-quickgelu/openai", "with", "without"),
        ("RN50/cc12m", "RN50-quickgelu/cc12m", "with", "without"),
        (
            "ViT-B-32-quickgelu/laion2b_s34b_b79k",
            "ViT-B-32/laion2b_s34b_b79k",
            "without",
            "with",
        ),
        (
            "ViT-B-32@/x/vit_b_32-quickgelu-laion400m_e32-46683a32.pt",
            "ViT-B-32-quickgelu@/x/vit_b_32-quickgelu-laion400m_e32-46683a32.pt",
            "with",
            "without",
        ),
        ("RN50@my-QuickGELU-run.pt", "RN50-quickgelu@my-QuickGELU-run.pt", "with", "without"),
        (
            "ViT-B-32-quickgelu@/x/vit_b_32-laion2b_e16-af8dbd0c.pth",
            "ViT-B-32@/x/vit_b_32-laion2b_e16-af8dbd0c.pth",
            "without",
            "with",
        ),
    ],
)
def test_weights_of_another_activation(asked, right, trained, runs):
    """The IDIA paper's ViT-B-32 was audited with the wrong one."""
    arch = asked.partition("@")[0].partition("/")[0]
    assert refusal(f"open_clip:{asked}") == (
        f"these weights were trained {trained} QuickGELU, and {arch} runs them {runs}. "
        f"Write open_clip:{right}."
    )


def test_every_published_pair_has_one_spelling_that_is_not_refused():
    """The rule must neither let a mismatch through nor lock a published model out."""
    import open_clip

    from vlmaudit.models.loading import parse_spec
    from vlmaudit.models.open_clip_sources import refuse_other_activation

    accepted = {}
    for arch, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(arch, tag)
        try:
            refuse_other_activation(parse_spec(f"open_clip:{arch}/{tag}"), config)
        except ModelError:
            uses = open_clip.get_model_config(arch).get("quick_gelu", False)
            assert uses != config.get("quick_gelu", False)
        else:
            accepted.setdefault((arch.removesuffix("-quickgelu"), tag), []).append(arch)
    everything = {
        (arch.removesuffix("-quickgelu"), tag) for arch, tag in open_clip.list_pretrained()
    }
    assert set(accepted) == everything
    assert all(len(spellings) == 1 for spellings in accepted.values())


def test_published_weights_out_of_reach():
    assert refusal("open_clip:ViT-B-16/laion400m_e32") == (
        "its weights are not on this machine, and the hub may not be asked (HF_HUB_OFFLINE is "
        "set). Fetch them where you can and give the file: open_clip:ViT-B-16@FILE."
    )
    assert refusal("hf:openai/clip-vit-base-patch32") == (
        "it is not on this machine, and the hub may not be asked (HF_HUB_OFFLINE is set). Fetch "
        "it where you can and give the folder: hf:./folder."
    )


def test_a_hub_that_fails_is_quoted(monkeypatch):
    import huggingface_hub
    import open_clip

    def fail(_):
        try:
            raise OSError("Name or service not known")
        except OSError as problem:
            raise FileNotFoundError("Failed to\ndownload") from problem

    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    assert "the hub does not give it (Name or service not known). Fetch" in refusal(
        "open_clip:ViT-B-16/laion400m_e32"
    )


# Files.


class RunsCode:
    """Unpickling it would call whatever it says."""

    def __reduce__(self):
        return print, ("code from a checkpoint was run",)


def test_a_missing_file(tmp_path):
    file = tmp_path / "a.pt"
    assert refusal(f"open_clip:RN50@{file}") == f"there is no file {file}."


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    assert refusal(f"open_clip:RN50@{tmp_path}/a.zip") == (
        "a.zip is no checkpoint; known endings: .safetensors, .pt, .pth, .bin."
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip"])
@pytest.mark.parametrize("ending", ["pt", "bin", "safetensors"])
def test_a_damaged_file(tmp_path, content, ending):
    (tmp_path / f"a.{ending}").write_bytes(content)
    assert refusal(f"open_clip:RN50@{tmp_path}/a.{ending}").startswith(f"a.{ending} is damaged")


def test_a_truncated_file(tiny_open_clip_file, tmp_path):
    whole = tiny_open_clip_file.read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    assert refusal(f"open_clip:tiny-test@{tmp_path}/half.pt") == (
        "half.pt is damaged, or no checkpoint."
    )


@pytest.mark.parametrize("how", ["torch", "pickle", "module"])
def test_a_file_that_would_run_code(tmp_path, capfd, how):
    import torch

    file = tmp_path / "a.pt"
    if how == "torch":
        torch.save({"state_dict": {"weight": RunsCode()}}, file)
    elif how == "pickle":
        file.write_bytes(pickle.dumps({"weight": RunsCode()}))
    else:
        torch.save(torch.nn.Linear(2, 2), file)
    assert refusal(f"open_clip:RN50@{file}") == (
        "a.pt holds more than weights, and reading it would run code from it; convert it to "
        ".safetensors where you trust it."
    )
    assert "code from a checkpoint" not in capfd.readouterr().out


def test_a_file_without_a_state_dict(tmp_path):
    import torch

    torch.save({"epoch": 3}, tmp_path / "a.pt")
    assert refusal(f"open_clip:RN50@{tmp_path}/a.pt") == "a.pt holds no state dict."


def change_weights(source, target, change):
    import torch

    held = torch.load(source, weights_only=True)
    change(held["state_dict"])
    torch.save(held, target)
    return f"open_clip:tiny-test@{target}"


def test_a_file_that_lacks_weights_or_has_too_many(tiny_open_clip_file, tmp_path):
    lacking = change_weights(
        tiny_open_clip_file, tmp_path / "lacking.pt", lambda state: state.pop("visual.proj")
    )
    message = refusal(lacking)
    assert message.startswith("lacking.pt does not fit the architecture (")
    assert "visual.proj" in message
    more = change_weights(
        tiny_open_clip_file,
        tmp_path / "more.pt",
        lambda state: state.update(extra=state["visual.proj"].clone()),
    )
    message = refusal(more)
    assert message.startswith("more.pt does not fit the architecture (")
    assert "extra" in message


@pytest.mark.parametrize("table", ["positional_embedding", "visual.positional_embedding"])
def test_a_file_made_for_another_size(tiny_open_clip_file, tmp_path, table):
    """open_clip would stretch the table of positions without a word."""
    import torch

    def longer(state):
        state[table] = torch.randn(101 if table[0] == "v" else 40, state[table].shape[1])

    message = refusal(change_weights(tiny_open_clip_file, tmp_path / "other.pt", longer))
    assert message.startswith(f"other.pt does not fit the architecture: {table} is ")


# Folders.


@pytest.mark.parametrize("scheme", ["open_clip", "hf"])
def test_a_missing_folder(scheme, tmp_path):
    assert refusal(f"{scheme}:{tmp_path}/none") == "there is no such folder."


def test_a_folder_without_a_configuration(tmp_path, tiny_open_clip, tiny_hf_clip):
    assert refusal(f"open_clip:{tmp_path}") == "the folder has no open_clip_config.json."
    assert refusal(f"hf:{tmp_path}") == "the folder has no config.json."
    assert refusal(f"open_clip:{tiny_hf_clip}") == (
        "the folder has no open_clip_config.json. It looks like a transformers model: write "
        f'"hf:{tiny_hf_clip}".'
    )
    assert refusal(f"hf:{tiny_open_clip}") == (
        "the folder has no config.json. It looks like an OpenCLIP model: write "
        f'"open_clip:{tiny_open_clip}".'
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"model_cfg": 3}', '{"model_cfg": {"embed_dim": 3}}']
)
def test_a_folder_whose_open_clip_configuration_says_nothing(tmp_path, text):
    (tmp_path / "open_clip_config.json").write_text(text)
    assert refusal(f"open_clip:{tmp_path}").startswith("open_clip_config.json ")


def test_a_folder_with_too_few_or_too_many_checkpoints(tiny_open_clip, tmp_path):
    folder = shutil.copytree(tiny_open_clip, tmp_path / "copy")
    checkpoint = folder / "open_clip_model.safetensors"
    for name in ("epoch_1.safetensors", "epoch_2.safetensors"):
        shutil.copy(checkpoint, folder / name)
    load_contrastive(f"open_clip:{folder}")  # one of the three has the name that is meant
    checkpoint.unlink()
    assert refusal(f"open_clip:{folder}") == (
        "the folder holds several checkpoints (epoch_1.safetensors, epoch_2.safetensors); call "
        "the one that is meant open_clip_model.safetensors, or move the others away."
    )
    for file in folder.glob("*.safetensors"):
        file.unlink()
    assert refusal(f"open_clip:{folder}") == (
        "the folder holds no checkpoint, such as open_clip_model.safetensors."
    )


def test_an_open_clip_configuration_that_builds_nothing(tiny_open_clip, tmp_path):
    folder = shutil.copytree(tiny_open_clip, tmp_path / "copy")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["no_such_setting"] = 1
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    assert refusal(f"open_clip:{folder}").startswith("open_clip cannot build the architecture (")


def test_transformers_folders(tiny_hf_clip, tmp_path):
    folder = shutil.copytree(tiny_hf_clip, tmp_path / "copy")
    spec = f"hf:{folder}"
    weights, config = folder / "model.safetensors", folder / "config.json"

    weights.write_bytes(b"hello")
    assert refusal(spec).startswith("model.safetensors is damaged (")
    weights.unlink()
    assert refusal(spec) == "the folder holds no checkpoint, such as model.safetensors."
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": RunsCode()}))
    assert "reading it would run code from it" in refusal(spec)

    settings = json.loads(config.read_text())
    (folder / "pytorch_model.bin").unlink()
    shutil.copy(tiny_hf_clip / "model.safetensors", weights)
    config.write_text("{")
    assert refusal(spec).startswith("config.json cannot be used (")
    config.write_text(json.dumps({**settings, "model_type": "no-such-model"}))
    assert refusal(spec).startswith("config.json cannot be used (")
    own_code = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    config.write_text(json.dumps({**settings, "model_type": "own", "auto_map": own_code}))
    (folder / "code.py").write_text("raise SystemExit('code from a checkpoint was run')")
    assert refusal(spec) == (
        "it brings its own code, which is never run here; transformers must know the model."
    )
    config.write_text(json.dumps(settings))
    load_contrastive(spec)
    (folder / "processor_config.json").unlink()
    assert "image processor" in refusal(spec)


def test_a_transformers_checkpoint_that_lacks_weights(tiny_hf_clip, tmp_path):
    """transformers fills the gap with random numbers and goes on."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_hf_clip, tmp_path / "copy")
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert refusal(f"hf:{folder}") == (
        "the checkpoint lacks weights of the model, or has them in another shape: "
        "visual_projection.weight."
    )


def test_models_without_a_common_space(tiny_hf_clip, tmp_path):
    from transformers import BertConfig

    folder = shutil.copytree(tiny_hf_clip, tmp_path / "copy")
    BertConfig().save_pretrained(folder)
    with pytest.raises(CapabilityError, match="bert does not put pictures and texts into one"):
        load_contrastive(f"hf:{folder}")


def test_devices_that_are_not_there(tiny_open_clip):
    import torch

    if not torch.cuda.is_available():
        assert refusal(f"open_clip:{tiny_open_clip}", device="cuda") == (
            'this machine has no device "cuda"; "auto" takes what is there.'
        )
    assert refusal(f"open_clip:{tiny_open_clip}", device="cuda:99").startswith("this machine has")
    assert refusal(f"open_clip:{tiny_open_clip}", device="cpu:x") == 'no such device as "cpu:x".'
    assert load_contrastive(f"open_clip:{tiny_open_clip}", device="auto").record.dtype == "float32"
