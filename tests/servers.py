"""A real server on loopback that answers truthfully, and misbehaves where it is told to."""

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import numpy as np
from PIL import Image

PATIENCE_S = 30  # a slow answer that nobody waits for ends then, at the latest


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request as it arrived.

    Attributes:
        number: Counted from 0 over the server's life, in the order of arrival.
        picture: Digest of the picture's pixels; see `digest_of`.
        labels: Digest of the offered labels in their order.
        offered: The labels.
        parameters: All of ``parameters``.
        file: The picture as it was sent.
        path: What was asked for, query included.
        headers: Names in lower case.
        arrived: Seconds of the monotonic clock.
    """

    number: int
    picture: str
    labels: str
    offered: tuple[str, ...]
    parameters: Mapping[str, object]
    file: bytes
    path: str
    headers: Mapping[str, str]
    arrived: float


# What to do instead of answering well: the name of a misbehaviour, bytes to send as the answer's
# whole body, or None to behave.
Deed = str | bytes | None
# By number of request; by picture (one deed for ever, or a list, one a request, and well-behaved
# after it); or a function of what was asked.
Schedule = Mapping[int | str, Deed | Sequence[Deed]] | Callable[[Asked], Deed]


class ZeroShotServer:
    """Zero-shot image classification by a contrastive model: softmax of 100 x cosine.

    Misbehaviours, by name:
        status CODE             that status, with names and control characters in its body
        status CODE after TEXT  the same with ``Retry-After: TEXT``
        status CODE saying BODY the same with that body
        garbage                 a body that is no JSON
        web page                HTML with status 200
        empty                   a body of no bytes
        packed badly            a body that says it is gzip and is not
        not offered             one label more, which wins
        same label twice        the winner comes twice
        NaN                     a score that is JSON's extension NaN
        "NaN"                   a score that is the text NaN
        half                    the first half of the body, a Content-Length of the whole, the end
        no answer               the connection is closed without a byte
        twice                   the answer, and at once another one for which nobody asked
        twice later             the same, a moment later
        slow                    no answer until the server ends or the client hangs up
        trickle                 a header now and then, without end
        open end                the answer without its length, on a connection that stays open
        huge                    an answer that goes on until the client hangs up
        redirect                to the same server's /elsewhere
        die                     the socket is closed and connections refused until `start`
    """

    def __init__(
        self,
        model,
        *,
        misbehave: Schedule | None = None,
        key: str | None = None,
        top: int | None = None,
        is_wrapped: bool = False,
        best_first: bool = True,
        seconds_each: float = 0.0,
    ) -> None:
        """Prepare a server; `with`, or `start`, opens it.

        Args:
            model: A contrastive model, such as `Knows`.
            misbehave: When to do what instead of answering well.
            key: What the bearer token must be; None takes every request.
            top: Answer with so many labels only.
            is_wrapped: Put the answer into a list of one.
            best_first: Sort labels by falling score; else by rising.
            seconds_each: How long an answer takes at least, so that requests meet.
        """
        self._model = model
        self._schedule = {} if misbehave is None else misbehave
        if isinstance(self._schedule, Mapping):
            _check(self._schedule)
        self._key = key
        self._top = top
        self._is_wrapped = is_wrapped
        self._best_first = best_first
        self._seconds_each = seconds_each
        self._lock = threading.Lock()
        self._busy = 0
        self._times: Counter[str] = Counter()
        self._closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._texts: dict[str, np.ndarray] = {}
        self.port = 0
        self.asked: list[Asked] = []
        self.elsewhere: list[str] = []
        self.peak = 0
        self.has_arrived = threading.Condition(self._lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/models/clip"

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each picture was asked about with each set of labels."""
        return Counter((each.picture, each.labels) for each in self.asked)

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def __enter__(self) -> "ZeroShotServer":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        """Open the socket: at first any free port, later the same one again."""
        assert self._server is None
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def stop(self) -> None:
        """Close the socket; connections are refused until `start`."""
        with self._lock:
            server, self._server = self._server, None
        self._closing.set()
        if server is not None:
            server.shutdown()
            server.server_close()

    def wait_for(self, n: int) -> None:
        """Return once so many requests have arrived."""
        with self.has_arrived:
            assert self.has_arrived.wait_for(lambda: len(self.asked) >= n, PATIENCE_S)

    # From here on: one request.

    def take(self, handler: "_Handler", body: bytes) -> tuple[Asked, Deed]:
        file, offered, parameters = self.understand(json.loads(body))
        digest = ""
        if file:
            with Image.open(io.BytesIO(file)) as picture:
                digest = digest_of(picture)
        with self.has_arrived:
            entry = Asked(
                number=len(self.asked),
                picture=digest,
                labels=labels_digest(offered),
                offered=offered,
                parameters=parameters,
                file=file,
                path=handler.path,
                headers={name.lower(): value for name, value in handler.headers.items()},
                arrived=time.monotonic(),
            )
            self.asked.append(entry)
            deed = self._deed_for(entry)
            self.has_arrived.notify_all()
        return entry, deed

    def understand(self, asked) -> tuple[bytes, tuple[str, ...], dict]:
        """The picture, the labels and the parameters of a request."""
        parameters = asked["parameters"]
        file = base64.b64decode(asked["inputs"], validate=True)
        return file, tuple(parameters["candidate_labels"]), parameters

    def _deed_for(self, asked: Asked) -> Deed:
        if callable(self._schedule):
            return self._schedule(asked)
        if asked.number in self._schedule:
            return self._schedule[asked.number]
        deeds = self._schedule.get(asked.picture)
        if deeds is None or isinstance(deeds, str | bytes):
            return deeds
        turn = self._times[asked.picture]
        self._times[asked.picture] += 1
        return deeds[turn] if turn < len(deeds) else None

    @contextlib.contextmanager
    def busy(self):
        with self._lock:
            self._busy += 1
            self.peak = max(self.peak, self._busy)
        try:
            if self._seconds_each:
                time.sleep(self._seconds_each)
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def truth(self, asked: Asked) -> list[dict]:
        """What the model says: every label with its score."""
        with Image.open(io.BytesIO(asked.file)) as picture:
            image = self._model.encode_images([picture])[0].astype(np.float64)
        if asked.labels not in self._texts:
            rows = self._model.encode_texts(list(asked.offered))
            self._texts[asked.labels] = rows.astype(np.float64)
        logits = 100 * self._texts[asked.labels] @ image
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        rows = [
            {"label": label, "score": float(score)}
            for label, score in zip(asked.offered, scores, strict=True)
        ]
        rows.sort(key=lambda row: -row["score"])
        rows = rows[: self._top]
        return rows if self._best_first else rows[::-1]

    def true_body(self, asked: Asked) -> bytes:
        """The body of a good answer."""
        return self.body(self.truth(asked))

    def body(self, rows: list[dict]) -> bytes:
        return json.dumps([rows] if self._is_wrapped else rows).encode()

    def accepts(self, asked: Asked) -> bool:
        return self._key is None or asked.headers.get("authorization") == f"Bearer {self._key}"

    def wait_until_closed(self, seconds: float = PATIENCE_S) -> bool:
        return self._closing.wait(seconds)


class ChatServer(ZeroShotServer):
    """OpenAI's chat completions by a generative model such as `Says`.

    Of what was asked, `offered` holds the prompt, `parameters` all but the messages, and `file` is
    empty where no picture was shown. Misbehaves as `ZeroShotServer`, but for labels and scores.
    """

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def prompts(self) -> list[str]:
        """What was asked, in the order of arrival."""
        return [asked.offered[0] for asked in self.asked]

    def understand(self, asked) -> tuple[bytes, tuple[str, ...], dict]:
        (message,) = asked.pop("messages")
        assert message.keys() == {"role", "content"}
        assert message["role"] == "user"
        if isinstance(message["content"], str):
            return b"", (message["content"],), asked
        shown, said = message["content"]
        assert shown.keys() == {"type", "image_url"}
        assert shown["image_url"].keys() == {"url"}
        assert (shown["type"], said["type"]) == ("image_url", "text")
        head, _, base64_png = shown["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        return base64.b64decode(base64_png, validate=True), (said["text"],), asked

    def truth(self, asked: Asked) -> dict:
        """The whole completion."""
        picture = Image.open(io.BytesIO(asked.file)) if asked.file else None
        (said,) = self._model.answer(picture, asked.offered)
        message = {"role": "assistant", "content": said.text, "refusal": None}
        return {
            "id": f"chatcmpl-{asked.number}",
            "object": "chat.completion",
            "model": asked.parameters["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
            "usage": {"prompt_tokens": said.prompt_tokens, "completion_tokens": said.tokens},
        }

    def true_body(self, asked: Asked) -> bytes:
        return json.dumps(self.truth(asked)).encode()


def digest_of(picture: Image.Image) -> str:
    """The digest by which a server knows an RGB picture of at most 1024 pixels a side."""
    assert picture.mode == "RGB"
    pixels = f"{picture.width}x{picture.height}".encode() + picture.tobytes()
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()


def labels_digest(labels: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join(labels).encode(), digest_size=16).hexdigest()


def _check(schedule: Mapping) -> None:
    """Refuse a deed that nobody knows: in a server's thread the mistake would go unseen."""
    for deeds in schedule.values():
        for deed in [deeds] if isinstance(deeds, str | bytes | None) else deeds:
            if isinstance(deed, str) and deed not in _DEEDS and not deed.startswith("status "):
                raise ValueError(f'no such deed as "{deed}"')


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address

    def handle_error(self, request, client_address) -> None:
        """Nothing: clients of a server that misbehaves hang up."""


class _Handler(BaseHTTPRequestHandler):
    owner: ZeroShotServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/elsewhere":
            self.owner.elsewhere.append(self.headers.get("Authorization", ""))
            self._send(b"[]")
            return
        # Counted before anything is sent: whoever has an answer finds its request in `asked`.
        asked, deed = self.owner.take(self, body)
        with self.owner.busy():
            if not self.owner.accepts(asked):
                self._send(b"{}", status=401)
            elif deed is None:
                self._send(self._true_body(asked))
            elif isinstance(deed, bytes):
                self._send(deed)
            elif deed.startswith("status "):
                self._status(asked, deed.removeprefix("status "))
            else:
                _DEEDS[deed](self, asked)

    def _send(self, body: bytes, *, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.wfile.write(self._head(len(body), status, headers) + body)

    def _head(self, length: int, status: int = 200, headers: Mapping[str, str] = {}) -> bytes:
        told = {"Date": self.date_time_string(), "Content-Type": "application/json"}
        told |= {"Content-Length": str(length), "Set-Cookie": "visited=yes; Path=/", **headers}
        lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {text}" for name, text in told.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    def _status(self, asked: Asked, what: str) -> None:
        what, _, saying = what.partition(" saying ")
        code, _, after = what.partition(" after ")
        chatty = saying or json.dumps({"error": f"\x1b[31mno {asked.offered[0]}"})
        headers = {"Retry-After": after} if after else {}
        self._send(chatty.encode(), status=int(code), headers=headers)

    def _true_body(self, asked: Asked) -> bytes:
        return self.owner.true_body(asked)

    def _garbage(self, _: Asked) -> None:
        self._send(b"model overloaded :-(")

    def _web_page(self, _: Asked) -> None:
        page = b"<!doctype html><title>Welcome</title>"
        self._send(page, headers={"Content-Type": "text/html"})

    def _empty(self, _: Asked) -> None:
        self._send(b"")

    def _packed_badly(self, _: Asked) -> None:
        self._send(b"not gzip", headers={"Content-Encoding": "gzip"})

    def _not_offered(self, asked: Asked) -> None:
        rows = [{"label": "a photo of nobody", "score": 1.0}, *self.owner.truth(asked)]
        self._send(self.owner.body(rows))

    def _same_label_twice(self, asked: Asked) -> None:
        rows = self.owner.truth(asked)
        self._send(self.owner.body([rows[0], *rows]))

    def _nan(self, asked: Asked, score: object = float("nan")) -> None:
        rows = self.owner.truth(asked)
        rows[0]["score"] = score
        self._send(self.owner.body(rows))

    def _nan_text(self, asked: Asked) -> None:
        self._nan(asked, "NaN")

    def _half(self, asked: Asked) -> None:
        body = self._true_body(asked)
        self.wfile.write(self._head(len(body)) + body[: len(body) // 2])
        self.close_connection = True

    def _no_answer(self, _: Asked) -> None:
        self.close_connection = True

    def _twice(self, asked: Asked) -> None:
        body = self._true_body(asked)
        self.wfile.write(2 * (self._head(len(body)) + body))

    def _twice_later(self, asked: Asked) -> None:
        body = self._true_body(asked)
        self._send(body)
        self.owner.wait_until_closed(0.02)
        self._send(body)

    def _open_end(self, asked: Asked) -> None:
        head = b"HTTP/1.1 200 Told\r\nConnection: close\r\n\r\n"
        self.wfile.write(head + self._true_body(asked))
        self._slow(asked)

    def _slow(self, _: Asked) -> None:
        self.connection.settimeout(0.02)
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends and not self.owner.wait_until_closed(0):
            # Nothing more is to come: whatever can be read is the end of the connection.
            with contextlib.suppress(TimeoutError):
                self.connection.recv(1)
                break
        self.close_connection = True

    def _trickle(self, _: Asked) -> None:
        self.wfile.write(b"HTTP/1.1 200 Told\r\n")
        while not self.owner.wait_until_closed(0.02):
            self.wfile.write(b"X-Patience: please\r\n")
        self.close_connection = True

    def _huge(self, _: Asked) -> None:
        self.wfile.write(self._head(10**12))
        while not self.owner.wait_until_closed(0):
            self.wfile.write(b"[" * 2**16)

    def _redirect(self, _: Asked) -> None:
        place = f"http://127.0.0.1:{self.owner.port}/elsewhere"
        self._send(b"", status=307, headers={"Location": place})

    def _die(self, _: Asked) -> None:
        self.owner.stop()
        self.close_connection = True


_DEEDS: dict[str, Callable[[_Handler, Asked], None]] = {
    "garbage": _Handler._garbage,
    "web page": _Handler._web_page,
    "empty": _Handler._empty,
    "packed badly": _Handler._packed_badly,
    "not offered": _Handler._not_offered,
    "same label twice": _Handler._same_label_twice,
    "NaN": _Handler._nan,
    '"NaN"': _Handler._nan_text,
    "half": _Handler._half,
    "no answer": _Handler._no_answer,
    "twice": _Handler._twice,
    "twice later": _Handler._twice_later,
    "slow": _Handler._slow,
    "trickle": _Handler._trickle,
    "open end": _Handler._open_end,
    "huge": _Handler._huge,
    "redirect": _Handler._redirect,
    "die": _Handler._die,
}
