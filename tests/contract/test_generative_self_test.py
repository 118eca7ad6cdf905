"""Models that answer in words pass their self-test, and each fault is caught by its check."""

import itertools
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vlmaudit.data.images import as_rgb
from vlmaudit.errors import InputError, ModelError
from vlmaudit.execution import checking
from vlmaudit.models.base import Answer, ChecksSharing, Failed
from vlmaudit.models.drawn_questions import FEW_NAMES, NAMES, QUESTIONS
from vlmaudit.models.generative_self_test import N_REQUESTS, N_STEPS, check_generative, n_steps
from vlmaudit.models.kinds import asks_in_words
from vlmaudit.models.loading import load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.scripted_answers import Rule, Says
from vlmaudit.report.self_test import print_self_test, study_seconds
from vlmaudit.results.self_test import KnownAnswers, SelfTest, agrees, drift, says_alike

BUILDERS = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
SHARED = {
    "BLIP-2 OPT": "vision",
    "BLIP-2 Flan-T5": "vision",
    "LLaVA": "prefix",
    "LLaVA-NeXT": "prefix",
    "PaliGemma": "vision",
    "Qwen2.5-VL": "prefix",
    "Idefics3": "prefix",
    "SmolVLM": "prefix",
}
VOCABULARY = 50
ROOMY = Console(width=300, force_terminal=False)


def verdicts(test: SelfTest) -> dict[str, bool | None]:
    return {check.name: check.passed for check in test.checks}


def failed(test: SelfTest) -> set[str]:
    return {check.name for check in test.failed}


def undecided(test: SelfTest) -> set[str]:
    return {name for name, passed in verdicts(test).items() if passed is None}


def sentence(test: SelfTest, name: str) -> str:
    return next(check.sentence for check in test.checks if check.name == name)


class Open(Says):
    """A fake that lies open: what it says, and how likely a first token is, may be spoilt."""

    sharing = "prefix"
    sharing_notice = ""

    def __init__(self, *rules, dtype="float32", quantization="none", **how):
        super().__init__(rules, **how)
        self._record = self._record.model_copy(
            update={"dtype": dtype, "quantization": quantization}
        )
        self.calls = itertools.count()

    def _outcome(self, face, prompt, background=None):
        outcome = super()._outcome(face, prompt, background)
        if isinstance(outcome, Failed):
            return outcome
        return Answer(f"{outcome.text} It is {face}.", outcome.finish, tokens=5)

    def answer_alone(self, image, prompt):
        return self._outcome(None if image is None else self._face(image), prompt)

    def _face(self, image):
        from vlmaudit.models.scripting import face_in

        return face_in(as_rgb(image))

    def first_token_log_probabilities(self, image, prompts, *, shared):
        del shared
        keys = [f"{self._face(image)}{prompt}".encode() for prompt in prompts]
        seeds = [np.frombuffer(key, np.uint8).astype(np.int64) for key in keys]
        logits = np.stack([np.random.default_rng(seed).normal(size=VOCABULARY) for seed in seeds])
        return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


# Sound models.


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    built = {}

    def folder(family):
        if family not in built:
            built[family] = BUILDERS["build"](family, tmp_path_factory.mktemp("tiny"))
        return built[family]

    return folder


@pytest.fixture
def load(folder_of):
    def model(family="LLaVA", **how):
        return load_generative(
            f"hf:{folder_of(family)}", GenerativeOptions(**{"max_new_tokens": 4, **how})
        )

    return model


@pytest.mark.torch
@pytest.mark.parametrize("family", SHARED)
def test_every_family_passes(family, load):
    model, steps = load(family), []
    test = check_generative(model, advance=steps.append)
    assert not test.failures()
    assert steps == [1] * n_steps(model) == [1] * N_STEPS
    assert test.model == model.record
    unknown = {"known answers"}
    unknown |= set() if SHARED[family] == "prefix" else {"shared work", "without a picture"}
    assert undecided(test) == unknown
    assert test.seconds_per_answer > 0
    assert test.names_per_second > 10
    assert len(test.answers.said) == len(QUESTIONS)
    assert SelfTest.model_validate_json(test.model_dump_json(by_alias=True)) == test


@pytest.mark.torch
@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 0.5), ("float16", 0.1)])
def test_narrow_arithmetic_is_held_to_its_own_tolerance(dtype, limit, load):
    test = check_generative(load(dtype=dtype))
    assert not test.failures()
    alone = next(check for check in test.checks if check.name == "asked alone")
    assert alone.limit == limit
    # Processors without bfloat16 may round alone as they do together.
    assert 0 < alone.measured < limit or (dtype, alone.measured) == ("bfloat16", 0)
    assert test.answers.said == ()  # rounding may change words


def test_fakes_pass_from_within_and_from_outside():
    model, steps = Open(), []
    assert isinstance(model, ChecksSharing)
    test = check_generative(model, advance=steps.append)
    assert not test.failures()
    assert undecided(test) == {"known answers"}
    assert steps == [1] * N_STEPS
    steps.clear()
    test = check_generative(Says([Rule(face="#ffffff", answer="A disc.")]), advance=steps.append)
    assert not test.failures()
    assert undecided(test) == {"known answers"}
    assert steps == [1] * N_REQUESTS
    assert test.answers.said == ("A picture.", "A picture.", "A disc.")


# Faults.


class Echoes(Open):
    def _outcome(self, face, prompt, background=None):
        return Answer(f"USER: {prompt} ASSISTANT: {face}", "length", tokens=9)


class Mute(Open):
    def _outcome(self, face, prompt, background=None):
        del face, prompt
        return Answer("", "stop", tokens=1)


class EndsLate(Open):
    def _outcome(self, face, prompt, background=None):
        return Answer(f"{face} {prompt[:3]}", "length", tokens=self.max_new_tokens + 1)


class Fickle(Open):
    def _outcome(self, face, prompt, background=None):
        return Answer(f"{face} {prompt[:3]} {next(self.calls) // 6}", "stop", tokens=2)


class SaysOtherwiseAlone(Open):
    def answer_alone(self, image, prompt):
        said = super().answer_alone(image, prompt)
        return Answer(f"{said.text} Alone.", said.finish)


class LikesOtherwiseAlone(Open):
    def first_token_log_probabilities(self, image, prompts, *, shared):
        rows = super().first_token_log_probabilities(image, prompts, shared=shared)
        return rows + np.float32(0 if shared else 0.01)


class NoNumbers(Open):
    def first_token_log_probabilities(self, image, prompts, *, shared):
        rows = super().first_token_log_probabilities(image, prompts, shared=shared)
        return rows * np.float32("nan")


class Blind(Open):
    def _face(self, image):
        del image
        return "#000000"

    def answer(self, image, prompts):
        return (self._outcome("#000000", prompt) for prompt in prompts)


class SeesAlpha(Open):
    def _face(self, image):
        return (
            f"{image.mode}{super()._face(image)}" if image.mode == "RGBA" else super()._face(image)
        )


class Picky(Open):
    def _face(self, image):
        if image.mode == "CMYK":
            raise TypeError("cannot handle CMYK.")
        return super()._face(image)


class CountsNeighbours(Open):
    def log_likelihood(self, image, prompt, answers):
        return super().log_likelihood(image, prompt, answers) - 0.01 * len(answers)


class AboveOne(Open):
    def log_likelihood(self, image, prompt, answers):
        return super().log_likelihood(image, prompt, answers) + 100


FAULTS = {
    Echoes: {"echo"},
    Mute: {"answers"},
    EndsLate: {"answers"},
    Fickle: {"repeatable", "asked alone"},
    SaysOtherwiseAlone: {"asked alone"},
    LikesOtherwiseAlone: {"asked alone"},
    NoNumbers: {"asked alone", "picture formats"},
    Blind: {"pictures told apart"},
    SeesAlpha: {"picture formats"},
    Picky: {"picture formats"},
    CountsNeighbours: {"candidate names"},
    AboveOne: {"candidate names"},
}


@pytest.mark.parametrize("spoilt", FAULTS, ids=lambda spoilt: spoilt.__name__)
def test_a_fault_is_caught_by_the_check_meant_for_it(spoilt):
    test = check_generative(spoilt())
    assert failed(test) == FAULTS[spoilt]
    assert SelfTest.model_validate_json(test.model_dump_json(by_alias=True)) == test


def test_what_is_rounding_in_bf16_is_a_fault_in_fp32():
    for how in ({"dtype": "bfloat16"}, {"quantization": "8bit"}, {"quantization": "4bit nf4"}):
        assert not check_generative(LikesOtherwiseAlone(**how)).failures()
        test = check_generative(SaysOtherwiseAlone(**how))
        assert not test.failures()
        assert sentence(test, "asked alone").startswith("3 of 3 answers are others when each is")


def test_what_is_worth_knowing_but_no_fault_is_left_open():
    half = [Rule(prompt=question, answer="") for question in QUESTIONS[:3]]

    class Half(Open):
        _outcome = Says._outcome

    test = check_generative(Half(*half))
    assert not test.failures()
    assert {"answers", "pictures told apart"} <= undecided(test)
    assert sentence(test, "answers") == "3 of 6 hold words; 0 cut off at the limit."
    assert sentence(test, "pictures told apart").startswith("The same words whatever is in")


@pytest.mark.torch
def test_a_mask_that_lets_names_see_each_other_is_caught(load, monkeypatch):
    from vlmaudit.models import trie_scoring

    monkeypatch.setattr(trie_scoring, "_sees", lambda _, nodes: np.tri(len(nodes), dtype=bool))
    assert failed(check_generative(load())) == {"candidate names"}


@pytest.mark.torch
def test_an_engine_that_mixes_up_its_prompts_is_caught(load):
    model = load()
    honest = model._way.engine.said

    def mixed_up(asked, max_new_tokens):
        for place, said in honest(asked, max_new_tokens):
            yield (place + 1) % len(asked), said

    model._way.engine.said = mixed_up
    assert failed(check_generative(model)) == {"asked alone"}


def test_failures_that_last_fail_and_those_that_may_pass_are_left_open():
    lasting = check_generative(Open(Rule(fails="no such thing")))
    assert failed(lasting) == {"answers", "repeatable"}
    assert sentence(lasting, "answers") == "No answer: no such thing."
    assert lasting.answers is None
    cramped = check_generative(Open(Rule(fails="out of memory", transient=True)))
    assert failed(cramped) == {"answers"}  # here, and not at a server that is busy
    for_now = check_generative(Says([Rule(fails="busy", transient=True)]))
    assert not for_now.failures()
    assert sentence(for_now, "repeatable") == "No answer for now: busy."
    assert for_now.seconds_per_answer is None


def test_drawn_names_begin_alike_and_are_nobodys():
    assert len(set(NAMES)) == len(NAMES) == 256
    assert len(set(FEW_NAMES)) < len(FEW_NAMES)
    assert any(a != b and b.startswith(a) for a, b in itertools.permutations(FEW_NAMES, 2))


# Servers.


def test_a_server_is_asked_little_and_may_answer_as_it_likes(servers):
    asked = itertools.count()

    class Moody(Says):
        def _outcome(self, face, prompt, background=None):
            return Answer(f"{face} {prompt[:3]} {next(asked)}", "stop", tokens=2)

    with servers.ChatServer(Moody()) as server:
        model = load_generative(f"chat:moody@{server.url}")
        test = check_generative(model)
        assert len(server.asked) == N_REQUESTS
        assert sum(not each.file for each in server.asked) == 1
    assert not test.failures()
    assert undecided(test) == {"repeatable", "picture formats", "known answers"}
    assert "candidate names" not in verdicts(test)
    assert test.answers is None
    assert test.seconds_per_answer > 0
    assert test.requests_at_once == model.concurrency
    model.close()


def test_a_server_that_repeats_the_question_is_caught(servers):
    with servers.ChatServer(Echoes()) as server:
        model = load_generative(f"chat:parrot@{server.url}")
        assert failed(check_generative(model)) == {"echo"}
        model.close()


# What it said before.


def test_known_answers_of_words_and_of_numbers():
    before = check_generative(Open())
    same = check_generative(Open(), known=before.answers)
    assert verdicts(same)["known answers"] is True
    other = check_generative(Open(otherwise="A photo."), known=before.answers)
    assert failed(other) == {"known answers"}
    assert "(other words)" in sentence(other, "known answers")
    assert drift(before, other) == 0
    assert not agrees(before, other)
    assert not says_alike(before, other)


def test_words_are_compared_only_where_both_have_any():
    numbers = KnownAnswers(dtype="bfloat16", tolerance=0.2, pictures=((1.0,),), texts=())
    words = numbers.model_copy(update={"dtype": "float32", "said": ("A disc.",)})
    assert numbers.agrees(words)
    assert words.agrees(numbers)
    assert not words.agrees(words.model_copy(update={"said": ("A cat.",)}))
    old = json.loads(numbers.model_dump_json(by_alias=True))
    del old["said"]  # as older versions wrote it
    assert KnownAnswers.model_validate(old) == numbers


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_weights_are_noticed_in_any_arithmetic(dtype, load):
    model = load(dtype=dtype)
    before = check_generative(model)
    same = check_generative(load(dtype=dtype), known=before.answers)
    assert verdicts(same)["known answers"] is True
    assert agrees(before, same)
    model._model.lm_head.weight.data.mul_(1.5)
    assert failed(check_generative(model, known=before.answers)) == {"known answers"}


def test_a_run_goes_on_only_with_a_model_that_says_the_same(tmp_path):
    class Model:
        def __init__(self, model):
            self.record, self.check = model.record, lambda _: check_generative(model)

    quiet = Console(quiet=True)
    before = checking.agree_with_self_test(tmp_path, Model(Says()), quiet)
    assert checking.agree_with_self_test(tmp_path, Model(Says()), quiet).answers == before.answers
    with pytest.raises(ModelError, match=r"begun \(it says other words of the same pictures\)\."):
        checking.agree_with_self_test(tmp_path, Model(Says(otherwise="A photo.")), quiet)


# Which kind of model it is.


@pytest.mark.parametrize(
    ("config", "is_asked"),
    [
        ({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}, True),
        ({"architectures": ["CLIPModel"], "model_type": "clip"}, False),
        ({"architectures": ["BlipForImageTextRetrieval"], "model_type": "blip"}, False),
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, True),  # and is refused
        ({"architectures": ["Chat"], "auto_map": {"AutoModelForCausalLM": "chat.Chat"}}, True),
        ({"architectures": [7], "auto_map": 3}, False),
        ({"model_type": ["llava"]}, False),
        ([], False),
        ({}, False),
    ],
)
def test_a_checkpoints_kind_is_read_from_its_configuration(config, is_asked, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert asks_in_words(f"hf:{tmp_path}") is is_asked


@pytest.mark.torch
def test_without_named_classes_the_type_of_model_tells(tmp_path):
    for kind, is_asked in (("paligemma", True), ("siglip", False)):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        assert asks_in_words(f"hf:{tmp_path}") is is_asked


@pytest.mark.torch
def test_the_kinds_of_the_tiny_checkpoints(folder_of, tiny_hf_clip, tiny_hf_siglip2):
    assert all(asks_in_words(f"hf:{folder_of(family)}") for family in SHARED)
    assert not asks_in_words(f"hf:{tiny_hf_clip}")
    assert not asks_in_words(f"hf:{tiny_hf_siglip2}")


@pytest.mark.parametrize(
    ("script", "is_asked"),
    [
        ('{"rules": []}', True),
        ('{"otherwise": "A photo.", "seed": 1}', True),
        ('{"people": {}}', False),
        ('{"people": {}, "rules": []}', False),
        ('{"seed": 1}', False),
        ("no JSON", False),
        ("[" * 100_000, False),
    ],
)
def test_a_scripts_kind_is_told_by_its_keys(script, is_asked, tmp_path):
    file = tmp_path / "script.json"
    file.write_text(script)
    assert asks_in_words(f"scripted:{file}") is is_asked


@pytest.mark.parametrize(
    "spec", ["scripted:./none.json", "hf:./none", "open_clip:RN50/openai", "endpoint:http://a.b/c"]
)
def test_what_cannot_be_read_is_not_asked_in_words(spec):
    assert not asks_in_words(spec)


# In a terminal.


def test_how_long_a_study_takes(capsys):
    test = check_generative(Open()).model_copy(
        update={"seconds_per_answer": 0.5, "names_per_second": 500.0, "requests_at_once": 1}
    )
    assert study_seconds(test, pictures=10, names=1000) == pytest.approx(10 * (15 + 2))
    print_self_test(test, pictures=10, names=1000, console=ROOMY)
    *_, speed, study = capsys.readouterr().out.splitlines()
    assert speed == "An answer takes 0.5 s; 500 names a second are scored as answers."
    assert study == "10 pictures, each with 30 prompts and 1,000 names scored: about 3 min here."
    server = test.model_copy(update={"names_per_second": None, "requests_at_once": 4})
    assert study_seconds(server, pictures=10, names=1000) == pytest.approx(10 * 15 / 4)
    print_self_test(server, pictures=1, names=1000, console=ROOMY)
    *_, speed, study = capsys.readouterr().out.splitlines()
    assert speed == "An answer takes 0.5 s, 4 at a time."
    assert study == "1 picture, each with 30 prompts: about 4 s here."


def test_options_for_other_kinds_are_refused(tmp_path):
    file = tmp_path / "knows.json"
    file.write_text('{"people": {}}')
    quiet = Console(quiet=True)
    for option, how in (
        ("--quantization", {"quantization": "4bit"}),
        ("--trust-remote-code", {"trust_remote_code": "main"}),
    ):
        with pytest.raises(InputError, match=f"{option}: .* scripted:knows.json is none; leave"):
            checking.check_model(f"scripted:{file}", console=quiet, **how)
