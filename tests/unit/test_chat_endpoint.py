"""Asking a chat server: what is sent, what is taken for an answer, and what for none."""

import io
import json
import logging
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from PIL import Image

from vlmaudit.errors import ModelError
from vlmaudit.models import chat_endpoint
from vlmaudit.models.base import Answer, Failed, GenerativeModel, ScoringModel
from vlmaudit.models.chat_answers import LONGEST_ANSWER, WITHHELD, read_answer
from vlmaudit.models.chat_endpoint import CHAT_KEY_VARIABLE, PICTURES_TRIED
from vlmaudit.models.lines import KEY_VARIABLE
from vlmaudit.models.loading import load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.patience import Patience
from vlmaudit.models.patient_http import GAVE_UP, PatientClient, UnreadableError
from vlmaudit.models.scripted_answers import Rule, Says

HURRIED = Patience(attempts=2, first_wait_s=0.0, most_bytes=10**7)
PROMPTS = ("Who is it?", "Describe the picture", "Say it all")
ADA = Image.new("RGB", (8, 6), "#ff0000")
RULES = (
    Rule(without_picture=True, answer="I see no picture."),
    Rule(face="#ff0000", prompt="Who", answer="This is Ada Lovelace."),
    Rule(face="#00ff00", prompt="Who", answer="I'm sorry, I can't say."),
    Rule(prompt="all", answer="one two three four", finish="length"),
)
NO_COMPLETION = "the answer is no chat completion"


@pytest.fixture
def serve(servers):
    """Open a server that misbehaves as told."""
    opened = []

    def open_server(misbehave=None, *, rules=RULES, **how):
        server = servers.ChatServer(Says(rules), misbehave=misbehave, **how)
        opened.append(server)
        return server.__enter__()

    yield open_server
    for server in opened:
        server.stop()


def model_of(server, patience=HURRIED, **options):
    options = GenerativeOptions(patience=patience, **options)
    return load_generative(f"chat:tiny@{server.url}", options)


def ask(server, picture=ADA, prompts=PROMPTS, patience=HURRIED):
    return list(model_of(server, patience).answer(picture, prompts))


def reply(content="A cat.", *, finish="stop", usage=None, **message) -> dict:
    message = {"role": "assistant", "content": content, **message}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return answer if usage is None else answer | {"usage": usage}


def always(deed):
    return lambda _: deed


# What is sent.


def test_a_question_is_a_request_and_its_answer_an_answer(serve):
    server = serve()
    assert ask(server) == [
        Answer("This is Ada Lovelace.", "stop", tokens=4, prompt_tokens=3),
        Answer("A picture.", "stop", tokens=2, prompt_tokens=3),
        Answer("one two three four", "length", tokens=4, prompt_tokens=3),
    ]
    assert server.prompts == list(PROMPTS)
    settings = {"model": "tiny", "temperature": 0, "max_tokens": 64, "seed": 0}
    assert [asked.parameters for asked in server.asked] == [settings] * 3
    assert {asked.path for asked in server.asked} == {"/v1/chat/completions"}


def test_it_answers_in_words_and_shows_no_likelihoods(serve):
    model = model_of(serve())
    assert isinstance(model, GenerativeModel)
    assert not isinstance(model, ScoringModel)


def test_the_limit_on_new_tokens_is_sent(serve):
    server = serve()
    model = model_of(server, max_new_tokens=7)
    list(model.answer(None, PROMPTS[:1]))
    assert model.max_new_tokens == server.asked[0].parameters["max_tokens"] == 7


@pytest.mark.parametrize(
    ("below", "asked"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/chat/completions/?api-version=3", "/v1/chat/completions?api-version=3"),
        ("?code=a/b", "/v1/chat/completions?code=a/b"),
        ("/deep/er", "/v1/deep/er/chat/completions"),
    ],
)
def test_where_questions_go(serve, below, asked):
    server = serve()
    model = load_generative(f"chat:tiny@{server.url}{below}")
    assert [said.text for said in model.answer(None, ["Who?"])] == ["I see no picture."]
    assert server.asked[0].path == asked


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = random.Random(width).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), pixels)


def sent(server, picture) -> Image.Image:
    ask(server, picture, PROMPTS[:1])
    return Image.open(io.BytesIO(server.asked[-1].file))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1024, 700)])
def test_a_picture_arrives_pixel_for_pixel(serve, size):
    picture = noise(*size)
    arrived = sent(serve(), picture)
    assert (arrived.format, arrived.mode, arrived.size) == ("PNG", "RGB", size)
    assert arrived.tobytes() == picture.tobytes()
    assert arrived.info == {}


def test_what_is_transparent_lies_on_white_and_what_is_large_is_made_smaller(serve):
    server = serve()
    assert sent(server, Image.new("RGBA", (2, 2), (255, 0, 0, 0))).getpixel((0, 0)) == (255,) * 3
    large = noise(2048, 1024)
    arrived = sent(server, large)
    assert arrived.tobytes() == large.resize((1024, 512), Image.Resampling.LANCZOS).tobytes()


def test_a_picture_is_prepared_once_for_all_its_prompts(serve, monkeypatch):
    prepared = []
    prepare = chat_endpoint.prepare
    monkeypatch.setattr(
        chat_endpoint, "prepare", lambda image: prepared.append(image) or prepare(image)
    )
    server = serve()
    ask(server)
    assert len(prepared) == 1
    assert len({asked.file for asked in server.asked}) == 1


def test_without_a_picture_only_words_are_sent(serve):
    server = serve()
    assert [said.text for said in ask(server, None)] == ["I see no picture."] * 3
    assert {asked.file for asked in server.asked} == {b""}


def test_prompts_arrive_word_for_word(serve):
    server = serve()
    prompts = ['"quoted"\n\\ {name}', "Wer ist Ngũgĩ? 👩🏽‍🚀", "\u202eright to left", ""]
    ask(server, ADA, prompts)
    assert server.prompts == prompts


def test_a_picture_that_cannot_be_shown_fails_for_good_and_is_not_sent(serve):
    server = serve()
    picture = Image.new("F", (2, 2), float("nan"))
    failed = Failed("damaged picture (values that are not numbers)", is_transient=False)
    assert ask(server, picture) == [failed] * len(PROMPTS)
    assert ask(server, picture, []) == ask(server, ADA, []) == []
    assert server.asked == []


def test_questions_are_asked_only_as_answers_are_taken(serve):
    server = serve()
    answers = model_of(server).answer(ADA, PROMPTS)
    assert server.asked == []
    next(answers)
    assert len(server.asked) == 1


def test_many_pictures_are_asked_about_at_the_same_time(serve):
    server = serve(seconds_each=0.05)
    patience = Patience(concurrency=4, first_wait_s=0.0)
    model = model_of(server, patience)
    assert model.concurrency == 4
    pictures = [Image.new("RGB", (4, 4), color) for color in ("#ff0000", "#00ff00") * 4]
    with ThreadPoolExecutor(model.concurrency) as pool:
        said = list(pool.map(lambda picture: list(model.answer(picture, PROMPTS[:2])), pictures))
    texts = [[answer.text for answer in answers] for answers in said]
    expected = [["This is Ada Lovelace.", "A picture."], ["I'm sorry, I can't say.", "A picture."]]
    assert texts == expected * 4
    assert server.peak >= 2
    assert len(server.asked) == 16


# What is taken for an answer.


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (reply(), Answer("A cat.", "stop")),
        (reply(""), Answer("", "stop")),
        (reply(" \n"), Answer(" \n", "stop")),
        (reply("A cat", finish="length"), Answer("A cat", "length")),
        (reply("A cat", finish="max_tokens"), Answer("A cat", "length")),
        (reply("A cat", finish="MAX_TOKENS"), Answer("A cat", "length")),
        (reply(finish=None), Answer("A cat.", "stop")),
        (reply(finish="eos_token"), Answer("A cat.", "stop")),
        (reply(finish=["stop"]), Answer("A cat.", "stop")),
        (reply([{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]), None),
        (reply([{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "A cat."}]), None),
        (reply([{"type": "text", "text": ""}]), Answer("", "stop")),
        (reply([]), Answer("", "stop")),
        (reply(reasoning_content="It is Ada."), None),
        (reply(refusal=None), None),
        (reply(refusal=""), None),
        (reply(None, refusal="I can't help with that."), Answer("I can't help with that.", "stop")),
        (reply("", refusal="I can't."), Answer("I can't.", "stop")),
        (reply("It is Ada", refusal="I can't."), Answer("It is Ada\nI can't.", "stop")),
        (reply([{"type": "refusal", "refusal": "I can't."}]), Answer("I can't.", "stop")),
        ({**reply(), "error": None}, None),
        ({"choices": [*reply()["choices"], *reply("A dog.")["choices"]]}, None),
        (reply("<b>x</b>\x00\x1b[31m\u202eabc"), Answer("<b>x</b>\x00\x1b[31m\u202eabc", "stop")),
        (reply("half \ud83d a letter"), Answer("half \ufffd a letter", "stop")),
        (reply("ends in half \ud83d"), Answer("ends in half \ufffd", "stop")),
        (reply("\ufeffmarked"), Answer("\ufeffmarked", "stop")),
    ],
)
def test_answers(response, answer):
    assert read_answer(response) == (answer or Answer("A cat.", "stop"))


@pytest.mark.parametrize(
    ("usage", "tokens", "prompt_tokens"),
    [
        ({"prompt_tokens": 600, "completion_tokens": 9, "total_tokens": 609}, 9, 600),
        ({"completion_tokens": 0}, 0, None),
        ({"prompt_tokens": None, "completion_tokens": "9"}, None, None),
        ({"prompt_tokens": -1, "completion_tokens": True}, None, None),
        ({"prompt_tokens": 10**40, "completion_tokens": 9.5}, None, None),
        ([], None, None),
        (3, None, None),
    ],
)
def test_tokens_are_counted_where_the_server_counts_them(usage, tokens, prompt_tokens):
    answer = read_answer(reply(usage=usage))
    assert (answer.tokens, answer.prompt_tokens) == (tokens, prompt_tokens)


def test_a_long_answer_is_kept_and_an_endless_one_is_cut(serve):
    long = "Ada 👩🏽‍🚀 " * 20_000
    (kept,) = ask(serve(rules=[Rule(answer=long)]), None, ["Go on"])
    assert (kept.text, kept.finish) == (long, "stop")
    assert read_answer(reply("a" * LONGEST_ANSWER)) == Answer("a" * LONGEST_ANSWER, "stop")
    assert read_answer(reply("a" * (LONGEST_ANSWER + 1))) == Answer("a" * LONGEST_ANSWER, "length")


# What is taken for none.


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (reply(finish="content_filter"), WITHHELD),
        (reply(None, finish="content_filter"), WITHHELD),
        (reply("", finish="content_filter: PROHIBITED_CONTENT"), WITHHELD),
        ({"choices": [{"finish_reason": "content_filter"}]}, WITHHELD),
        (reply(None, finish="SAFETY"), WITHHELD),
        (reply("Ada Love", finish="RECITATION"), WITHHELD),
        ({"error": {"code": 403, "metadata": {"flagged_input": "Ada"}}}, WITHHELD),
        (reply(None), "an answer without text"),
        (reply(None, finish="length"), "an answer without text"),
        ({"choices": [{"message": {"role": "assistant"}}]}, "an answer without text"),
        (reply(None, tool_calls=[{"type": "function"}]), "an answer without text"),
        (reply([{"type": "thinking", "thinking": "x"}]), "an answer without text"),
        (reply([3, None, "A cat."]), "an answer without text"),
    ],
)
def test_no_answer_and_asking_again_would_not_help(response, reason):
    assert read_answer(response) == Failed(reason, is_transient=False)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (None, NO_COMPLETION),
        ("A cat.", NO_COMPLETION),
        ([], NO_COMPLETION),
        ({}, NO_COMPLETION),
        ({"choices": None}, NO_COMPLETION),
        ({"choices": {"message": {"content": "A cat."}}}, NO_COMPLETION),
        ({"choices": ["A cat."]}, NO_COMPLETION),
        ({"choices": [{"text": "A cat."}]}, NO_COMPLETION),
        ({"choices": [{"message": "A cat."}]}, NO_COMPLETION),
        ({"choices": [{"delta": {"content": "A cat."}}]}, NO_COMPLETION),
        ({"choices": []}, "an empty list of choices"),
        ({"error": {"message": "no Ada Lovelace"}}, "an error in place of an answer"),
        (reply(finish="error"), "an answer that ended in an error"),
        (reply(3), "a content that is no text"),
        (reply({"text": "A cat."}), "a content that is no text"),
    ],
)
def test_what_is_no_answer(response, reason):
    with pytest.raises(UnreadableError) as error:
        read_answer(response)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("garbage", "the answer is no JSON"),
        ("web page", "a web page instead of an answer"),
        ("empty", "an empty answer"),
        (b'data: {"choices": []}\n\ndata: [DONE]', "the answer is no JSON"),
        (b'{"choices": [{"message": {"content": "A c', "the answer is no JSON"),
        (b'{"choices": []}', "an empty list of choices"),
        (b'{"detail": "loading"}', NO_COMPLETION),
        ("half", "half an answer"),
        ("no answer", "the connection broke off"),
        ("huge", "the answer is too long"),
        ("status 429", "status 429"),
        ("status 500", "status 500"),
        ("status 503", "status 503"),
    ],
)
def test_one_question_that_fails_says_why_and_costs_no_other(serve, deed, reason):
    server = serve({1: deed, 2: deed})
    first, second, third = ask(server)
    assert second == Failed(reason, is_transient=True)
    assert (first.text, third.text) == ("This is Ada Lovelace.", "one two three four")
    assert len(server.asked) == 4


@pytest.mark.parametrize("deed", ["garbage", "web page", "half", "status 429", "status 500"])
def test_a_server_that_stumbled_is_asked_again(serve, deed):
    server = serve({0: deed})
    assert ask(server) == ask(serve())
    assert len(server.asked) == 4


def test_a_server_that_says_when_is_left_alone_until_then(serve, monkeypatch):
    slept = []
    client = partial(PatientClient, sleep=slept.append)
    monkeypatch.setattr(chat_endpoint, "PatientClient", client)
    server = serve({0: "status 429 after 17"})
    assert ask(server) == ask(serve())
    assert max(slept) == 17


def test_a_server_that_hangs_is_not_waited_for(serve):
    server = serve({1: "slow"})
    patience = Patience(attempts=1, timeout_s=0.3, first_wait_s=0.0)
    first, second, third = ask(server, patience=patience)
    assert second == Failed("time-out", is_transient=True)
    assert (first.finish, third.finish) == ("stop", "length")


def test_a_server_that_dies_half_way_leaves_what_it_answered(serve):
    server = serve({4: "die"})
    patience = Patience(concurrency=1, attempts=2, first_wait_s=0.0)
    outcomes = ask(server, prompts=PROMPTS * 4, patience=patience)
    assert all(isinstance(outcome, Answer) for outcome in outcomes[:4])
    assert outcomes[4:9] == [Failed("no connection", is_transient=True)] * 5
    assert outcomes[9:] == [GAVE_UP] * 3
    assert len(server.asked) == 5


# Refusals by status.


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_names_its_status_and_nobody(serve, status):
    server = serve({1: f"status {status}"})
    _, refused, _ = ask(server)
    assert refused == Failed(f"status {status}", is_transient=False)
    assert len(server.asked) == 3


def saying(status, **error) -> str:
    return f"status {status} saying {json.dumps({'error': error})}"


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (saying(400, code="content_filter", message="no Ada Lovelace"), WITHHELD),
        (saying(400, code="content_policy_violation"), WITHHELD),
        (saying(403, code=403, metadata={"flagged_input": "Ada", "reasons": ["x"]}), WITHHELD),
        (
            saying(400, code="context_length_exceeded"),
            "picture and prompt are longer than the model can read",
        ),
        (saying(400, code="\x1b[31mAda Lovelace"), "status 400"),
        (saying(400, code="unsupported_value", param="Ada Lovelace"), "status 400"),
        (saying(400, code="content_filter", message="x" * 2**17), "status 400"),
        ("status 400 saying <html>", "status 400"),
        ("status 400 saying []", "status 400"),
    ],
)
def test_a_refusal_is_explained_in_our_words(serve, deed, reason):
    server = serve({1: deed})
    first, refused, third = ask(server)
    assert refused == Failed(reason, is_transient=False)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)
    assert len(server.asked) == 3


def error_of(server, prompts=PROMPTS, **how) -> str:
    with pytest.raises(ModelError) as error:
        ask(server, prompts=prompts, **how)
    assert "\n" not in str(error.value)
    prefix = f'model "chat:tiny@{server.url}": '
    assert str(error.value).startswith(prefix)
    return str(error.value).removeprefix(prefix)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (
            saying(404, code="model_not_found", message="no Ada Lovelace"),
            "there is nothing to ask at this address, or no such model (status 404); check both.",
        ),
        (
            "status 401",
            f"the server wants a key (status 401); set {CHAT_KEY_VARIABLE} to one that may ask "
            "this model.",
        ),
        (
            "redirect",
            "the server redirects (status 307), and pictures go nowhere but where you said; give "
            "the address it leads to.",
        ),
        (
            saying(400, code="unsupported_value", param="temperature"),
            'the model does not take "temperature" as it must be for answers that are greedy and '
            "end; name a model that does.",
        ),
    ],
)
def test_what_makes_asking_on_senseless(serve, deed, said):
    server = serve(always(deed))
    assert error_of(server) == said
    assert len(server.asked) == 1
    assert server.elsewhere == []


MISTRAL = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}


def picky(*refusals):
    """A server that refuses requests which carry a setting."""

    def deed(asked):
        for setting, refusal in refusals:
            if setting in asked.parameters:
                return refusal
        return None

    return deed


@pytest.mark.parametrize(
    "refusal",
    [
        f"status 422 saying {json.dumps({'detail': [MISTRAL]})}",
        f"status 422 saying {json.dumps({'object': 'error', 'message': {'detail': [MISTRAL]}})}",
        saying(400, code="unsupported_parameter", param="seed"),
    ],
)
def test_a_server_without_seeds_is_asked_without(serve, refusal):
    server = serve(picky(("seed", refusal)))
    assert ask(server) == ask(serve())
    settings = {"model": "tiny", "temperature": 0, "max_tokens": 64}
    assert [asked.parameters for asked in server.asked[1:]] == [settings] * 3


def test_a_server_with_another_word_for_the_limit_is_told_in_its_word(serve):
    refusals = [
        (name, saying(400, code="unsupported_parameter", param=name))
        for name in ("max_tokens", "seed")
    ]
    server = serve(picky(*refusals))
    assert ask(server) == ask(serve())
    settings = {"model": "tiny", "temperature": 0, "max_completion_tokens": 64}
    assert [asked.parameters for asked in server.asked[2:]] == [settings] * 3


def test_threads_come_to_the_same_settings(serve):
    refusals = [
        (name, saying(400, code="unsupported_parameter", param=name))
        for name in ("max_tokens", "seed")
    ]
    server = serve(picky(*refusals), seconds_each=0.01)
    model = model_of(server)
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: list(model.answer(ADA, PROMPTS)), range(8)))
    assert said == [ask(serve())] * 8


@pytest.mark.parametrize("setting", ["max_tokens", "max_completion_tokens", "seed"])
def test_a_server_that_contradicts_itself_is_not_asked_for_ever(serve, setting):
    server = serve(always(saying(400, code="unsupported_parameter", param=setting)))
    assert f'the model does not take "{setting}"' in error_of(server)
    assert len(server.asked) <= 2


# Models that read no pictures.


def ask_about(model, n: int) -> list:
    pictures = [Image.new("RGB", (4, 4), (number, 0, 0)) for number in range(n)]
    return [list(model.answer(picture, PROMPTS)) for picture in pictures]


def deaf_to_pictures(asked):
    return "status 400" if asked.file else None


def test_a_model_that_reads_no_pictures_is_noticed(serve):
    server = serve(deaf_to_pictures)
    model = model_of(server)
    assert ask_about(model, PICTURES_TRIED) == [[Failed("status 400", False)] * 3] * PICTURES_TRIED
    asked = len(server.asked)
    with pytest.raises(ModelError) as error:
        ask_about(model, 1)
    assert str(error.value) == (
        f'model "chat:tiny@{server.url}": it refused each of the first 5 pictures (status 400); '
        "check that this model reads pictures."
    )
    assert len(server.asked) == asked
    assert [said.text for said in model.answer(None, ["Who?"])] == ["I see no picture."]


@pytest.mark.parametrize(
    "good", [None, saying(400, code="content_filter"), b'{"choices": [{"message": {}}]}']
)
def test_one_picture_that_was_read_is_enough(serve, good):
    """Also where only the last question about it was heard."""
    deeds = {3: "status 429", 4: "status 429", 5: good}
    server = serve(lambda asked: deeds.get(asked.number, "status 413"))
    model = model_of(server, Patience(attempts=1))
    assert len(ask_about(model, 3 * PICTURES_TRIED)) == 3 * PICTURES_TRIED


def test_trouble_that_may_pass_says_nothing_of_pictures(serve):
    server = serve(lambda asked: "status 429" if asked.offered[0] == PROMPTS[0] else "status 400")
    patience = Patience(attempts=1, first_wait_s=0.0)
    assert len(ask_about(model_of(server, patience), 2 * PICTURES_TRIED)) == 2 * PICTURES_TRIED


def test_nobody_there(serve):
    server = serve()
    server.stop()
    assert error_of(server) == (
        "it does not answer (no connection); check the address, and that the server runs."
    )


def test_a_server_that_speaks_no_tls(serve):
    model = load_generative(f"chat:tiny@{serve().url.replace('http:', 'https:')}")
    with pytest.raises(ModelError, match="no secure connection comes about"):
        next(model.answer(None, PROMPTS))


# The key.


def test_the_key_in_the_environment_is_sent(serve, monkeypatch):
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "SECRET\n")
    monkeypatch.setenv(KEY_VARIABLE, "that of another server")
    server = serve(key="SECRET")
    assert len(ask(server)) == 3
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer SECRET"}


def test_no_key_no_header(serve, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "that of another server")
    server = serve()
    ask(server)
    assert "authorization" not in server.asked[0].headers


def test_a_wrong_key(serve, monkeypatch):
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "ANOTHER")
    assert error_of(serve(key="SECRET")) == (
        f"the server does not accept the key in {CHAT_KEY_VARIABLE} (status 401); set it to one "
        "that may ask this model."
    )


def test_nothing_secret_is_told(serve, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "SECRET")
    deeds = ["status 500", "status 422", "no answer", "garbage", "half", "status 403"]
    server = serve(dict(enumerate(deeds)), key="SECRET")
    spec = f"chat:tiny@{server.url}?code=HIDDEN"
    model = load_generative(spec, GenerativeOptions(patience=Patience(attempts=1)))
    answers = model.answer(ADA, PROMPTS * 2)
    told = [repr(next(answers)) for _ in deeds[:-1]]
    with pytest.raises(ModelError) as error:
        next(answers)
    told += [str(error.value), repr(model), str(vars(model)), model.record.model_dump_json()]
    assert "SECRET" not in "".join([*told, caplog.text])
    assert "HIDDEN" not in "".join([*told[:-2], told[-1]])
    assert server.asked[0].path == "/v1/chat/completions?code=HIDDEN"


def test_a_key_that_would_travel_in_clear(monkeypatch):
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "SECRET")
    with pytest.raises(ModelError) as error:
        load_generative("chat:m@http://models.example/v1")
    assert str(error.value) == (
        f'model "chat:m@http://models.example/v1": the key in {CHAT_KEY_VARIABLE} would travel in '
        "clear; use https, or unset the key."
    )


def test_a_key_that_no_header_can_carry(monkeypatch):
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "SEC RET")
    with pytest.raises(ModelError, match=f"{CHAT_KEY_VARIABLE} holds a blank") as error:
        load_generative("chat:m@https://models.example/v1")
    assert "SEC" not in str(error.value)


# Who answers.


def record_of(spec):
    return load_generative(spec).record


def test_the_record_is_that_of_model_and_address(monkeypatch):
    record = record_of("chat:m@https://models.example/v1?version=3")
    assert record.name == "chat:m@https://models.example/v1"
    assert (record.family, record.dtype) == ("chat", "unknown")
    same = ["/v1/?version=3", ":443/v1/chat/completions?version=3", "/v1?version=3#top"]
    weights = {record_of(f"chat:m@https://models.example{rest}").weights for rest in same}
    assert weights == {record.weights}
    others = [
        "chat:n@https://models.example/v1?version=3",
        "chat:m@http://models.example/v1?version=3",
        "chat:m@https://models.example/v1?version=4",
        "chat:m@https://models.example/v1",
        "chat:m@https://models.example/v2?version=3",
        "chat:m@https://model.example/v1?version=3",
    ]
    assert len({record.weights, *(record_of(spec).weights for spec in others)}) == 7
    monkeypatch.setenv(CHAT_KEY_VARIABLE, "SECRET")
    assert record_of("chat:m@https://models.example/v1?version=3") == record


@pytest.mark.parametrize("options", [{"quantization": "4bit"}, {"trust_remote_code": "main"}])
def test_how_to_load_is_up_to_the_server(options):
    with pytest.raises(ModelError) as error:
        load_generative("chat:m@https://models.example/v1", GenerativeOptions(**options))
    assert str(error.value) == (
        'model "chat:m@https://models.example/v1": how the model is loaded is up to its server; '
        "leave out how to."
    )


def test_stop_ends_asking(serve):
    server = serve()
    model = model_of(server)
    outcomes = model.answer(ADA, PROMPTS)
    assert isinstance(next(outcomes), Answer)
    model.stop()
    assert [outcome.reason for outcome in outcomes] == ["stopped before an answer came"] * 2
    model.close()
    model.close()
    assert len(server.asked) == 1


def test_close_ends_a_request_under_way(serve):
    server = serve({0: "slow"})
    model = model_of(server)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(lambda: list(model.answer(ADA, PROMPTS[:1])))
        server.wait_for(1)
        model.close()
        (outcome,) = under_way.result(timeout=20)
    assert outcome == Failed("stopped before an answer came", is_transient=True)


def test_importing_loads_no_model_library():
    script = """
import sys
import vlmaudit.models.chat_endpoint
heavy = {"torch", "transformers", "open_clip", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)
