"""A client that waits, asks again, gives up in time, and tells nobody the key."""

import base64
import io
import json
import logging
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import sleep

import pytest
from PIL import Image

from vlmaudit.errors import InputError, ModelError
from vlmaudit.models.base import Failed
from vlmaudit.models.lines import KEY_VARIABLE, is_loopback, key_from_environment
from vlmaudit.models.patience import Pace, Patience, retry_after_s
from vlmaudit.models.patient_http import GAVE_UP, STOPPED, PatientClient, UnreadableError
from vlmaudit.models.scripted import Knows

KEY = "hf_abc123SECRET"
PERSON = "#ff0000"
NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing")
HURRIED = Patience(attempts=3, first_wait_s=0.0)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def refuse(reason: str) -> ModelError:
    return ModelError(f'model "endpoint:X": {reason}')


def body(colour: str = PERSON, names=NAMES) -> dict:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    return {
        "inputs": base64.b64encode(file.getvalue()).decode(),
        "parameters": {"candidate_labels": [f"a photo of {name}" for name in names]},
    }


def as_it_is(answer: object) -> object:
    return answer


def client_of(url: str, patience: Patience = HURRIED, **how) -> PatientClient:
    return PatientClient(url, refuse=refuse, patience=patience, **how)


@pytest.fixture
def serve(servers):
    """Open a server that misbehaves as told."""
    opened = []

    def open_server(misbehave=None, **how):
        server = servers.ZeroShotServer(Knows({PERSON: "Ada Lovelace"}), misbehave=misbehave, **how)
        opened.append(server)
        return server.__enter__()

    yield open_server
    for server in opened:
        server.stop()


class Lingering(float):
    """A number that takes its time to be compared, so that what is not locked is torn."""

    def __lt__(self, other):
        sleep(1e-4)
        return float(self) < other

    def __gt__(self, other):
        sleep(1e-4)
        return float(self) > other


def always(deed):
    return lambda _: deed


def error_of(ask) -> str:
    with pytest.raises(ModelError) as error:
        ask()
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith('model "endpoint:X": ')
    return message.removeprefix('model "endpoint:X": ')


# Asking.


def test_an_answer_is_what_the_server_said(serve):
    server = serve()
    answer = client_of(server.url).ask(body(), as_it_is)
    assert answer == server.truth(server.asked[0])
    assert [asked.path for asked in server.asked] == ["/models/clip"]


def test_requests_share_no_connection_and_no_cookie(serve):
    server = serve()
    client = client_of(server.url)
    for _ in range(3):
        client.ask(body(), as_it_is)
    assert all(asked.headers["connection"] == "close" for asked in server.asked)
    assert all("cookie" not in asked.headers for asked in server.asked)
    assert all(asked.headers["accept-encoding"] == "identity" for asked in server.asked)
    assert all(asked.headers["user-agent"].startswith("vlmaudit/") for asked in server.asked)


@pytest.mark.parametrize("deed", ["twice", "twice later"])
def test_a_second_answer_is_never_taken_for_that_of_the_next_request(serve, deed):
    server = serve(always(deed))
    client = client_of(server.url)
    for colour in (PERSON, "#00ff00", "#0000ff", "#ffff00", "#00ffff"):
        answer = client.ask(body(colour), as_it_is)
        assert answer == server.truth(server.asked[-1])


# Trouble that may pass.

TROUBLE = {
    "status 408": "status 408",
    "status 425": "status 425",
    "status 429": "status 429",
    "status 429 after 0": "status 429",
    "status 500": "status 500",
    "status 502": "status 502",
    "status 503": "status 503",
    "status 503 after soon": "status 503",
    "no answer": "the connection broke off",
    "half": "half an answer",
    "slow": "time-out",
    "trickle": "time-out",
    "open end": "time-out",
    "garbage": "the answer is no JSON",
    "web page": "a web page instead of an answer",
    "empty": "an empty answer",
    "packed badly": "the answer cannot be unpacked",
    "huge": "the answer is too long",
}
BRIEF = Patience(attempts=2, first_wait_s=0.0, timeout_s=0.3)
# Where an answer is expected, a busy machine shall not look like a slow server.
PATIENT = Patience(attempts=3, first_wait_s=0.0, timeout_s=20.0, most_bytes=10**6)


@pytest.mark.parametrize(("deed", "reason"), TROUBLE.items())
def test_trouble_that_stays_is_a_failure_that_may_pass(serve, deed, reason):
    is_slow = reason == "time-out"
    server = serve(always(deed))
    patience = BRIEF if is_slow else PATIENT
    outcome = client_of(server.url, patience).ask(body(), as_it_is)
    assert outcome == Failed(reason, is_transient=True)
    server.wait_for(patience.attempts)
    assert len(server.asked) == patience.attempts


@pytest.mark.parametrize("deed", [deed for deed, reason in TROUBLE.items() if reason != "time-out"])
def test_trouble_that_passes_leaves_no_trace(serve, deed):
    server = serve({0: deed, 1: deed})
    answer = client_of(server.url, PATIENT).ask(body(), as_it_is)
    assert answer == server.truth(server.asked[2])
    assert len(server.asked) == 3


def test_a_slow_answer_is_not_waited_for_and_the_next_one_is_taken(serve):
    server = serve({0: "slow"})
    # More attempts than needed: a busy machine may make another answer slow.
    patience = Patience(attempts=9, first_wait_s=0.0, timeout_s=0.5)
    answer = client_of(server.url, patience).ask(body(), as_it_is)
    assert len(server.asked) > 1
    assert answer == server.truth(server.asked[-1])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"[" * 100_000, "the answer is no JSON"),
        (b"\xff\xfe\xff", "the answer is no JSON"),
        (b'[{"label": ', "the answer is no JSON"),
        (b"[" + b"9" * 5000 + b"]", "the answer is no JSON"),
        (b" \r\n ", "an empty answer"),
        (b"\n<html>", "a web page instead of an answer"),
    ],
)
def test_bodies_that_are_no_json(serve, sent, reason):
    server = serve(always(sent))
    assert client_of(server.url).ask(body(), as_it_is) == Failed(reason, is_transient=True)


def test_what_cannot_be_read_is_asked_for_three_times_at_most(serve):
    server = serve()

    def read(_):
        raise UnreadableError("a label that was not offered")

    client = client_of(server.url, Patience(attempts=9, first_wait_s=0.0))
    assert client.ask(body(), read) == Failed("a label that was not offered", is_transient=True)
    assert len(server.asked) == 3
    client = client_of(server.url, Patience(attempts=2, first_wait_s=0.0))
    client.ask(body(), read)
    assert len(server.asked) == 5


def test_a_bug_in_reading_is_no_failure_of_the_server(serve):
    server = serve()
    with pytest.raises(KeyError):
        client_of(server.url).ask(body(), lambda answer: answer[0]["no such"])
    assert len(server.asked) == 1


# Waits.


@pytest.mark.parametrize(
    ("longest", "jitter", "slept"),
    [
        (60.0, lambda low, high: high, [4.0, 8.0, 16.0, 32.0]),
        (10.0, lambda low, high: high, [4.0, 8.0, 10.0, 10.0]),
        (60.0, lambda low, high: (low + high) / 2, [2.0, 4.0, 8.0, 16.0]),
        (60.0, lambda low, high: low, []),
    ],
)
def test_waits_double_and_are_drawn_from_nothing_up_to_all_of_it(
    serve, monkeypatch, longest, jitter, slept
):
    monkeypatch.setattr("random.uniform", jitter)
    server, time = serve(always("status 500")), Time()
    patience = Patience(longest_wait_s=longest)
    client_of(server.url, patience, clock=time.clock, sleep=time.sleep).ask(body(), as_it_is)
    assert time.slept == slept
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("after", "slept"),
    [
        ("7", [7.0]),
        ("0", []),
        ("99999", [60.0]),
        ("9" * 400, [60.0]),
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), [60.0]),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), []),
        ("soon", []),
        ("-5", []),
    ],
)
def test_a_server_that_says_when_is_heard(serve, monkeypatch, after, slept):
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    server, time = serve({0: f"status 429 after {after}"}), Time()
    client = client_of(server.url, Patience(), clock=time.clock, sleep=time.sleep)
    assert client.ask(body(), as_it_is) == server.truth(server.asked[1])
    assert time.slept == slept


@pytest.mark.parametrize(
    ("after", "high"), [("7", 11.0), ("58", 60.0), ("60", 60.0), ("99999", 60.0)]
)
def test_those_who_were_told_the_same_do_not_all_come_at_once(serve, monkeypatch, after, high):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    server, time = serve({0: f"status 503 after {after}"}), Time()
    client_of(server.url, Patience(), clock=time.clock, sleep=time.sleep).ask(body(), as_it_is)
    assert time.slept == [high]


def test_a_server_that_says_when_is_left_alone_by_all(serve):
    server, time = serve({0: "status 429 after 7"}), Time()
    client = client_of(server.url, Patience(attempts=1), clock=time.clock, sleep=time.sleep)
    assert client.ask(body(), as_it_is) == Failed("status 429", is_transient=True)
    assert time.slept == []
    client.ask(body(), as_it_is)
    assert time.slept == [7.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 70.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 -0000"}, 70.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"Retry-After": "Thu, 01 Jan 99999 00:00:10 GMT"}, None),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 +9999999999999999999"}, None),
        (
            {
                "Retry-After": "Fri, 02 Jan 2026 00:00:09 GMT",
                "Date": "Fri, 02 Jan 2026 00:00:00 GMT",
            },
            9.0,
        ),
    ],
)
def test_when_to_come_back(headers, seconds):
    assert retry_after_s(headers, now=30.0) == seconds


def test_requests_are_paced_from_the_first_on(serve):
    server, time = serve({1: "status 500"}), Time()
    patience = Patience(requests_per_second=4, attempts=2, first_wait_s=0.0)
    client = client_of(server.url, patience, clock=time.clock, sleep=time.sleep)
    for _ in range(3):
        client.ask(body(), as_it_is)
    assert len(server.asked) == 4  # the one that was sent again counts, too
    assert time.slept == [0.25, 0.25, 0.25]


def test_time_that_was_not_used_makes_no_burst():
    pace = Pace(4)
    assert pace.reserve_s(now=0.0) == 0.0
    assert [pace.reserve_s(now=100.0) for _ in range(3)] == [0.0, 0.25, 0.5]


def test_threads_share_one_pace():
    pace, moments = Pace(8), []

    def work():
        moments.extend(pace.reserve_s(now=Lingering()) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moments) == [number / 8 for number in range(80)]


# Giving up.


def test_a_server_that_is_gone_is_given_up(serve):
    server = serve(always("status 503"))
    client = client_of(server.url, Patience(concurrency=1, attempts=2, first_wait_s=0.0))
    failed = Failed("status 503", is_transient=True)
    assert [client.ask(body(), as_it_is) for _ in range(8)] == [failed] * 5 + [GAVE_UP] * 3
    assert len(server.asked) == 10
    assert Failed("the endpoint stopped answering", is_transient=True) == GAVE_UP


@pytest.mark.parametrize(("concurrency", "limit"), [(1, 5), (2, 5), (3, 6), (16, 32)])
def test_who_asks_more_at_once_gives_up_later(concurrency, limit):
    assert Patience(concurrency=concurrency).give_up_after == limit


@pytest.mark.parametrize("answer", [None, "status 422"])
def test_any_answer_renews_the_patience(serve, answer):
    server = serve(lambda asked: answer if asked.number % 5 == 4 else "status 503")
    client = client_of(server.url, Patience(concurrency=1, attempts=1))
    outcomes = [client.ask(body(), as_it_is) for _ in range(15)]
    assert GAVE_UP not in outcomes
    assert len(server.asked) == 15


def test_nobody_there_from_the_start_is_an_error(serve):
    server = serve()
    server.stop()
    said = error_of(lambda: client_of(server.url).ask(body(), as_it_is))
    assert said == (
        "it does not answer (no connection); check the address, and that the server runs."
    )


def test_nobody_there_later_is_a_failure_and_a_return_is_noticed(serve):
    server = serve({1: "die"})
    client = client_of(server.url)
    first = client.ask(body(), as_it_is)
    assert client.ask(body(), as_it_is) == Failed("no connection", is_transient=True)
    assert not server.is_up
    assert client.ask(body(), as_it_is) == Failed("no connection", is_transient=True)
    assert len(server.asked) == 2
    server.start()
    assert client.ask(body(), as_it_is) == first


def test_a_host_that_nobody_knows(servers, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    client = client_of("https://models.example/clip")
    assert error_of(lambda: client.ask(body(), as_it_is)).startswith(
        "it does not answer (the host name leads nowhere); "
    )


def test_a_server_that_speaks_no_tls(serve):
    url = serve().url.replace("http:", "https:")
    assert error_of(lambda: client_of(url).ask(body(), as_it_is)).startswith(
        "it does not answer (no secure connection comes about); "
    )


# Answers that asking again does not change.


@pytest.mark.parametrize("status", [400, 406, 413, 415, 418, 422])
def test_a_request_that_is_not_liked_is_asked_once_and_fails_for_good(serve, status):
    server = serve(always(f"status {status}"))
    outcome = client_of(server.url).ask(body(), as_it_is)
    assert outcome == Failed(f"status {status}", is_transient=False)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "key", "said"),
    [
        (
            401,
            None,
            f"the server wants a key (status 401); set {KEY_VARIABLE} to one that may ask this "
            "model.",
        ),
        (
            403,
            KEY,
            f"the server does not accept the key in {KEY_VARIABLE} (status 403); set it to one "
            "that may ask this model.",
        ),
        (
            402,
            KEY,
            "the server wants to be paid first (status 402); see to the key's account.",
        ),
        (404, None, "there is nothing to ask at this address (status 404); check its path."),
        (405, None, "there is nothing to ask at this address (status 405); check its path."),
        (410, None, "there is nothing to ask at this address (status 410); check its path."),
        (407, None, "the proxy wants a password (status 407); put it into HTTP_PROXY."),
        (
            302,
            None,
            "the server redirects (status 302), and pictures go nowhere but where you said; give "
            "the address it leads to.",
        ),
    ],
)
def test_what_makes_asking_on_senseless(serve, status, key, said):
    server = serve(always(f"status {status}"))
    assert error_of(lambda: client_of(server.url, key=key).ask(body(), as_it_is)) == said
    assert len(server.asked) == 1


def test_redirects_are_not_followed(serve):
    server = serve(always("redirect"))
    said = error_of(lambda: client_of(server.url, key=KEY).ask(body(), as_it_is))
    assert said.startswith("the server redirects (status 307)")
    assert server.elsewhere == []


# The key.


def test_the_key_is_sent_and_told_to_nobody(serve, caplog):
    caplog.set_level(logging.DEBUG)
    deeds = ["status 500", "status 422", "no answer", "garbage", "half", "status 403"]
    server = serve(dict(enumerate(deeds)), key=KEY)
    client = client_of(server.url, Patience(attempts=1), key=KEY)
    outcomes = [repr(client.ask(body(), as_it_is)) for _ in deeds[:-1]]
    said = error_of(lambda: client.ask(body(), as_it_is))
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert "SECRET" not in "".join([*outcomes, said, caplog.text, repr(client), str(vars(client))])
    assert caplog.records  # the libraries did log


def test_no_key_no_header(serve):
    server = serve()
    client_of(server.url).ask(body(), as_it_is)
    assert "authorization" not in server.asked[0].headers


def test_a_wrong_key(serve):
    server = serve(key=KEY)
    said = error_of(lambda: client_of(server.url, key="another").ask(body(), as_it_is))
    assert "(status 401)" in said
    assert "another" not in said


def test_a_key_never_travels_in_clear():
    said = error_of(lambda: client_of("http://models.example/clip", key=KEY))
    assert said == f"the key in {KEY_VARIABLE} would travel in clear; use https, or unset the key."
    client_of("https://models.example/clip", key=KEY)
    client_of("http://models.example/clip")
    client_of("http://localhost:8080/clip", key=KEY)


@pytest.mark.parametrize(
    ("text", "key"), [("", None), ("  ", None), (KEY, KEY), (f"{KEY}\n", KEY), (f" {KEY} ", KEY)]
)
def test_the_key_comes_from_the_environment(monkeypatch, text, key):
    monkeypatch.setenv(KEY_VARIABLE, text)
    assert key_from_environment(refuse) == key


def test_no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert key_from_environment(refuse) is None


@pytest.mark.parametrize("text", ["SECRET\nX-Evil: 1", "SECRET word", "SECRÉT", "SECRET\x7f"])
def test_what_no_header_can_carry_is_refused_without_being_quoted(monkeypatch, text):
    monkeypatch.setenv(KEY_VARIABLE, text)
    assert error_of(lambda: key_from_environment(refuse)) == (
        f"{KEY_VARIABLE} holds a blank, or a letter that no key has; set it again."
    )


# Proxies and addresses.


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("127.1", True),
        ("2130706433", True),
        ("::1", True),
        ("[::1]", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("clip.localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host, is_here):
    assert is_loopback(host) is is_here


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_but_never_on_the_way_to_this_machine(serve, monkeypatch, name):
    proxy, server = serve(), serve()
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    client_of("http://models.example/clip").ask(body(), as_it_is)
    assert [asked.path for asked in proxy.asked] == ["http://models.example/clip"]
    client_of(server.url).ask(body(), as_it_is)
    assert len(server.asked) == len(proxy.asked) == 1


def test_a_proxy_that_refuses(serve, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{serve().port}")
    client = client_of("https://models.example/clip")
    assert error_of(lambda: client.ask(body(), as_it_is)).startswith(
        "it does not answer (the proxy does not let it through); "
    )


def test_a_proxy_of_no_known_kind(servers, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://user:SECRET@proxy.example")
    said = error_of(lambda: client_of("https://models.example/clip"))
    assert said.startswith("the proxy that the environment names ")
    assert "SECRET" not in said


def test_an_address_that_the_library_cannot_read():
    said = error_of(lambda: client_of("https://a\x00b/"))
    assert said == "this is no address that can be asked; check its spelling."


# Stopping.


def stopped_while(client, waits) -> object:
    """What `ask` returns in a thread when `stop` is called once `waits` has returned."""
    outcomes = []

    def work():
        outcomes.append(client.ask(body(), as_it_is))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    waits()
    client.stop()
    thread.join(60)
    assert not thread.is_alive()
    return outcomes[0]


# Were a wait not ended, the test would run into the limit of `join`.
FOR_EVER = Patience(timeout_s=1000, first_wait_s=1000, longest_wait_s=1000)


def test_stop_ends_a_wait(serve, monkeypatch):
    is_waiting = threading.Event()

    def long(_, high):
        is_waiting.set()
        return high

    monkeypatch.setattr("random.uniform", long)
    server = serve(always("status 500"))
    client = client_of(server.url, FOR_EVER)
    assert stopped_while(client, lambda: is_waiting.wait(60)) == STOPPED
    assert len(server.asked) == 1


@pytest.mark.parametrize("deed", ["slow", "trickle", "open end", "huge"])
def test_stop_ends_a_request_under_way(serve, deed):
    server = serve(always(deed))
    patience = Patience(timeout_s=1000, most_bytes=2**62)
    assert stopped_while(client_of(server.url, patience), lambda: server.wait_for(1)) == STOPPED
    assert len(server.asked) == 1


def test_after_stop_nothing_is_asked(serve):
    server = serve()
    client = client_of(server.url)
    client.stop()
    assert client.ask(body(), as_it_is) == STOPPED
    client.close()
    client.close()
    assert client.ask(body(), as_it_is) == STOPPED
    assert server.asked == []


# Settings.


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"concurrency": 0}, "concurrency of 0: give 1 or more."),
        ({"attempts": 0}, "attempts of 0: give 1 or more."),
        ({"most_bytes": -1}, "most_bytes of -1: give 1 or more."),
        ({"requests_per_second": 0}, "requests_per_second of 0: give a number above 0."),
        ({"timeout_s": float("inf")}, "timeout_s of inf: give a number above 0."),
        ({"connect_timeout_s": -1.0}, "connect_timeout_s of -1.0: give a number above 0."),
        ({"first_wait_s": float("nan")}, "first_wait_s of nan: give 0 or more."),
        ({"longest_wait_s": -1.0}, "longest_wait_s of -1.0: give 0 or more."),
    ],
)
def test_settings_under_which_nothing_could_be_asked(setting, said):
    with pytest.raises(InputError) as error:
        Patience(**setting)
    assert str(error.value) == said


def test_a_request_is_json(serve):
    server = serve()
    client_of(server.url).ask(body(names=["Zoë ☃", "Ngũgĩ"]), as_it_is)
    assert server.asked[0].offered == ("a photo of Zoë ☃", "a photo of Ngũgĩ")
    assert server.asked[0].headers["content-type"] == "application/json"
    assert json.loads(json.dumps(server.asked[0].parameters))
