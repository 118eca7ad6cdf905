"""What may be written for a model, and what is said when it cannot be read."""

import subprocess
import sys
from pathlib import Path

import pytest

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.loading import (
    ModelSpec,
    load_contrastive,
    load_generative,
    load_label_only,
    model_folder,
    parse_spec,
)


@pytest.mark.parametrize(
    ("text", "scheme", "name", "variant", "path"),
    [
        ("open_clip:ViT-B-16/laion400m_e32", "open_clip", "ViT-B-16", "laion400m_e32", None),
        ("open_clip:RN50@weights.pt", "open_clip", "RN50", "", "weights.pt"),
        ("open_clip:RN50@/models/a@b.pt", "open_clip", "RN50", "", "/models/a@b.pt"),
        ("open_clip:./folder", "open_clip", "", "", "folder"),
        ("open_clip:../runs/a@b/c", "open_clip", "", "", "../runs/a@b/c"),
        ("open_clip:.", "open_clip", "", "", "."),
        ("hf:openai/clip-vit-base-patch32", "hf", "openai/clip-vit-base-patch32", "", None),
        ("hf:openai/clip@v1.0", "hf", "openai/clip", "v1.0", None),
        ("hf:/models/clip", "hf", "", "", "/models/clip"),
        ("scripted:knows.json", "scripted", "", "", "knows.json"),
    ],
)
def test_specs_are_taken_apart(text, scheme, name, variant, path):
    expected = ModelSpec(text, scheme, name, variant, Path(path) if path else None)
    assert parse_spec(text) == expected


def test_a_tilde_is_the_users_home():
    assert parse_spec("hf:~/clip").path == Path.home() / "clip"
    assert parse_spec("open_clip:RN50@~/a.pt").path == Path.home() / "a.pt"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("open_clip:ViT-B-16/laion400m_e32", "open_clip:ViT-B-16/laion400m_e32"),
        ("open_clip:RN50@/home/ada/a.pt", "open_clip:RN50@a.pt"),
        ("open_clip:/home/ada/target/", "open_clip:target"),
        ("hf:~/clip", "hf:clip"),
        ("hf:openai/clip@v1", "hf:openai/clip@v1"),
        ("scripted:../fakes/knows.json", "scripted:knows.json"),
    ],
)
def test_findings_name_no_path(text, name):
    assert parse_spec(text).public_name == name


def test_the_folder_here_has_its_own_name(tmp_path, monkeypatch):
    here = tmp_path / "target-3"
    (here / "inner").mkdir(parents=True)
    monkeypatch.chdir(here / "inner")
    assert parse_spec("open_clip:..").public_name == "open_clip:target-3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "opnclip:RN50/openai",
            'model "opnclip:RN50/openai": no such kind of model as "opnclip". Did you mean '
            "open_clip? A model is open_clip:ARCH/TAG, ",
        ),
        ("ViT-B-32", 'model "ViT-B-32": no kind of model is named. A model is '),
        ("", 'model "": no kind of model is named. '),
        ("gpt:4", 'model "gpt:4": no such kind of model as "gpt". A model is '),
        ("open_clip:", 'model "open_clip:": write open_clip:ARCH/TAG, open_clip:ARCH@FILE or '),
        ("open_clip:RN50", 'model "open_clip:RN50": write open_clip:ARCH/TAG, '),
        ("open_clip:RN50/", 'model "open_clip:RN50/": write open_clip:ARCH/TAG, '),
        ("open_clip:RN50@", 'model "open_clip:RN50@": write open_clip:ARCH/TAG, '),
        ("open_clip:@a.pt", 'model "open_clip:@a.pt": write open_clip:ARCH/TAG, '),
        ("hf:clip", 'model "hf:clip": write hf:ORG/NAME, hf:ORG/NAME@REVISION or hf:./folder.'),
        ("hf:a/b/c", 'model "hf:a/b/c": write hf:ORG/NAME, '),
        ("hf:/", None),
        ("hf:a/", 'model "hf:a/": write hf:ORG/NAME, '),
        ("hf:a/b@", 'model "hf:a/b@": write hf:ORG/NAME, '),
        ("scripted:", 'model "scripted:": write scripted:FILE.'),
        ("chat:", 'model "chat:": write chat:MODEL@URL.'),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(text, message):
    if message is None:
        assert parse_spec(text).path is not None
        return
    with pytest.raises(ModelError) as error:
        parse_spec(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


CHAT = "chat:qwen2.5-vl@https://models.example/v1"


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        (CHAT, "qwen2.5-vl", "https://models.example/v1"),
        ("chat:org/m:free@http://127.0.0.1:8000", "org/m:free", "http://127.0.0.1:8000/"),
        ("chat:@cf/m@v2@HTTPS://H.example:443/@x", "@cf/m@v2", "https://h.example/@x"),
        ("chat:a b@https://h.example/?v=1#top", "a b", "https://h.example/?v=1"),
    ],
)
def test_a_chat_model_has_a_name_and_an_address(text, name, url):
    spec = parse_spec(text)
    assert spec == ModelSpec(text, "chat", name, url=url)
    assert spec.public_name == f"chat:{name}@{url.partition('?')[0]}"
    assert str(spec.error("x")) == f'model "{spec.public_name}": x'
    assert model_folder(text) is None


HOW_TO_CHAT = 'model "chat:…": write chat:MODEL@URL, such as chat:qwen2.5-vl@https://HOST/v1.'


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("qwen2.5-vl", HOW_TO_CHAT),
        ("https://user:SECRET@models.example/v1", HOW_TO_CHAT),
        ("@https://models.example/v1", HOW_TO_CHAT),
        (" @https://models.example/v1", HOW_TO_CHAT),
        ("m@models.example/v1?key=SECRET", HOW_TO_CHAT),
        ("m@user:SECRET@models.example", HOW_TO_CHAT),
        ("m\x1b[31m@https://models.example", HOW_TO_CHAT),
        (
            "m@https://user:SECRET@models.example/v1",
            'model "chat:m@https://models.example/v1": a user name or password in an address can '
            "be read by others on this machine; put a key into VLMAUDIT_CHAT_KEY.",
        ),
        (
            # "http" after "@" once more: it belongs to the host, and what is before to no name.
            "m@https://user:SECRET@httpbin.example/v1",
            'model "chat:m@https://httpbin.example/v1": a user name or password',
        ),
        (
            "m@https://user:SECRET@https://models.example/v1",
            'model "chat:m@https://https://models.example/v1": ',
        ),
        (
            "m@https://",
            'model "chat:m@https://": the address names no host; write chat:m@https://HOST/PATH.',
        ),
        (
            "m@https://h.example:port/?SECRET",
            'model "chat:m@https://h.example:port/": host or port are malformed; write '
            "chat:MODEL@URL.",
        ),
        (
            "m@https://h.example/a b?SECRET",
            'model "chat:…": the address holds a blank or an unprintable letter.',
        ),
    ],
)
def test_chat_models_that_are_refused(rest, message):
    with pytest.raises(ModelError) as error:
        parse_spec(f"chat:{rest}")
    assert str(error.value).startswith(message)
    assert "SECRET" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("load", [load_contrastive, load_label_only])
def test_who_answers_in_words_is_sent_to_the_audit_that_asks_for_them(load):
    with pytest.raises(CapabilityError) as error:
        load(f"{CHAT}?code=SECRET")
    assert str(error.value).startswith(f'model "{CHAT}": it answers in words')
    assert str(error.value).endswith("hat it says of people is what vlmaudit name-leakage asks.")


def test_who_answers_nothing_is_sent_to_the_audit_that_compares():
    for spec in ("open_clip:RN50/openai", "endpoint:https://models.example/clip"):
        with pytest.raises(CapabilityError, match="is what vlmaudit identity-inference asks"):
            load_generative(spec)


@pytest.mark.parametrize("scheme", ["open_clip", "hf"])
def test_a_folder_written_without_its_dot_is_recognised(scheme, tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=rf"For the folder here write {scheme}:\./target\.$"):
        parse_spec(f"{scheme}:target")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, 'no such device as "gpu". Did you mean cpu? Known: cpu, auto, '),
        ({"dtype": "float23"}, 'no such dtype as "float23". Did you mean float32? Known: '),
        ({"batch_size": 0}, "a batch of 0 holds nothing; give 1 or more."),
    ],
)
def test_options_are_checked_before_anything_is_loaded(options, message):
    with pytest.raises(ModelError) as error:
        load_contrastive("open_clip:no-such/model", **options)
    assert str(error.value).startswith(f'model "open_clip:no-such/model": {message}')


@pytest.mark.parametrize("place", ["./" + "a" * 5000, "./a\0b", "~nobody-of-that-name/model"])
@pytest.mark.parametrize("scheme", ["hf:", "open_clip:", "open_clip:RN50@", "scripted:"])
def test_a_path_that_no_system_has_is_said(scheme, place):
    with pytest.raises(ModelError, match="no such file or folder"):
        parse_spec(scheme + place)


def test_a_local_models_folder(tmp_path):
    (tmp_path / "target").mkdir()
    assert model_folder(f"open_clip:{tmp_path}/target") == tmp_path / "target"
    assert model_folder(f"open_clip:RN50@{tmp_path}/a.pt") == tmp_path
    assert model_folder("open_clip:RN50/openai") is None
    assert model_folder("hf:openai/clip") is None


def test_importing_loads_no_model_library_and_sets_nothing():
    script = """
import os, sys
before = dict(os.environ)
import vlmaudit.models.loading as loading
loading.parse_spec("open_clip:RN50/openai")
import vlmaudit.models.scripted
heavy = {"torch", "open_clip", "transformers", "huggingface_hub", "scipy"} & set(sys.modules)
assert not heavy, heavy
assert dict(os.environ) == before
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_telemetry_is_off_once_a_model_is_asked_for(tmp_path):
    script = f"""
import os
from vlmaudit.models.loading import load_contrastive
file = {str(tmp_path / "knows.json")!r}
open(file, "w").write('{{"people": {{}}}}')
load_contrastive("scripted:" + file)
for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_SAFETENSORS_CONVERSION"):
    assert os.environ[name] == "1", name
"""
    subprocess.run([sys.executable, "-c", script], check=True)
