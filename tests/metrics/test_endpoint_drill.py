"""Drill: endpoints that are down, slow, endless or odd, with more topics than threads; one comes back.

The server is a plain socket, so that it can break every rule of HTTP.
"""

import json
import logging
import math
import socket
import threading
import time

import pytest
from small_cells import cell

from topiclab.metrics.rating import llm_rating
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.rate.endpoint import EndpointRater
from topiclab.rate.writer import EndpointWriter

NUM_TOPICS = 50
TOPICS = [[f"word{topic}", "cat", "dog"] for topic in range(NUM_TOPICS)]
OK = b"HTTP/1.1 200 OK\r\n"
SECRET = "a-secret-that-stays-here"


def body(content):
    return OK + b"Content-Length: %d\r\n\r\n" % len(content) + content


def answer(text):
    return body(json.dumps({"choices": [{"message": {"content": text}}]}).encode())


def status(code, headers=b""):
    return b"HTTP/1.1 %d Some Reason\r\n%sContent-Length: 0\r\n\r\n" % (code, headers)


def drip(pieces, seconds=0.05):
    """Send the pieces one by one, for ever."""

    def send(connection, stopped):
        while not stopped.wait(seconds):
            connection.sendall(pieces)

    return send


def flood(piece):
    def send(connection, stopped):
        while not stopped.is_set():
            connection.sendall(piece * 4096)

    return send


def silent(connection, stopped):
    stopped.wait()


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
STATES = {  # (what is sent at once, what follows), and the reason that has to be told
    "401": (status(401), None, "refuses: HTTP 401"),
    "403": (status(403), None, "refuses: HTTP 403"),
    "500": (status(500), None, "failed 2 times, at last with HTTP 500"),
    "429": (status(429), None, "failed 2 times, at last with HTTP 429"),
    "redirect": (status(307, b"Location: http://127.0.0.1:9/\r\n"), None, "refuses: HTTP 307"),
    "silent": (b"", silent, "no whole reply within 0.4 s"),
    "silent body": (OK + b"Content-Length: 9\r\n\r\n", silent, "no whole reply within 0.4 s"),
    "drip of a body": (OK + b"Content-Length: 999999\r\n\r\n", drip(b" "), "no whole reply within 0.4 s"),
    "drip of headers": (OK, drip(b"A: b\r\n"), "no whole reply within 0.4 s"),
    "drip of a status": (b"", drip(b"H"), "no whole reply within 0.4 s"),
    "drip of chunks": (CHUNKED, drip(b"1\r\n \r\n"), "no whole reply"),
    "flood": (OK + b"\r\n", flood(b"x"), "a reply of more than 1 MiB"),
    "flood of chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        flood(b"1\r\nx\r\n"),
        "no whole reply|1 MiB",
    ),
    "endless trailer": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        flood(b"A: b\r\n"),
        "no whole reply",
    ),
    "nested": (body(b"[" * 200_000), None, "a reply without a completion"),
    "junk": (body(b"<html>\xff\xfe</html>"), None, "a reply without a completion"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", None, "BadStatusLine"),
    "empty": (b"", None, "RemoteDisconnected|ConnectionReset"),
    "short": (OK + b"Content-Length: 99\r\n\r\n{", None, "IncompleteRead|without a completion"),
    "long number": (body(b'{"choices": ' + b"9" * 5000 + b"}"), None, "a reply without a completion"),
    "babble": (answer("\x1b[2J" + "well " * 99), None, "gave no digit in 2 replies"),
    "echo of the key": (status(401).replace(b"Some Reason", SECRET.encode()), None, r"HTTP 401 \*\*\*"),
}


class Server:
    """Takes the state of each reply from `state`; counts requests, and keeps those it has read."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        self.state, self.requests, self.stopped = lambda request: (answer("2"), None), [], threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                head, _, content = connection.recv(65536).partition(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while len(content) < size:
                    content += connection.recv(65536)
                self.requests.append(content.decode())
                first, then = self.state(content.decode())
                connection.sendall(first)
                if then is not None:
                    then(connection, self.stopped)
            except OSError:
                pass

    def close(self):
        self.stopped.set()
        self.listening.close()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MY_KEY", SECRET)
    serving = Server()
    yield serving
    serving.close()


def quick(url, kind=EndpointRater, **changes):
    options = {"attempts": 2, "retry_seconds": 0.01, "reply_seconds": 0.4, "total_seconds": 20.0, **changes}
    return kind(url, "judge", "Words: {words}", 3, key_variable="MY_KEY", **options)


@pytest.mark.parametrize("state", STATES)
def test_a_failing_endpoint_ends_the_rating_with_its_reason(state, server, tmp_path, caplog):
    first, then, told = STATES[state]
    server.state = lambda request: (first, then)
    start = time.monotonic()
    with pytest.raises(UndefinedMetric, match=told) as caught:
        llm_rating(TOPICS, quick(server.url), tmp_path)
    assert time.monotonic() - start < 6
    assert caught.value.is_passing == (state != "babble")
    assert all(map(math.isnan, caught.value.per_topic))
    # the first failures stop the others, but for a model that answers every time
    assert len(server.requests) <= (100 if state == "babble" else 40)
    assert SECRET not in caplog.text + str(caught.value)
    assert "\x1b" not in caplog.text + str(caught.value)
    ends = [thread for thread in threading.enumerate() if thread.name in ("rating", "reply")]
    for thread in ends:
        thread.join(5)
    assert not any(thread.is_alive() for thread in ends), "a request goes on after its deadline"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
def test_an_address_without_a_server_ends_the_rating(url, server):
    start = time.monotonic()
    with pytest.raises(UndefinedMetric, match=r"50 of 50 topics .* failed 2 times") as caught:
        llm_rating(TOPICS, quick(url, reply_seconds=5.0), None)
    assert time.monotonic() - start < 12
    assert caught.value.is_passing


def test_one_odd_reply_costs_its_topic_alone(server, tmp_path):
    odd, _, _ = STATES["nested"]
    server.state = lambda request: (odd if "word7," in request else answer("3"), None)
    with pytest.raises(UndefinedMetric, match="1 of 50 topics were not rated") as caught:
        llm_rating(TOPICS, quick(server.url), tmp_path)
    assert [topic for topic, value in enumerate(caught.value.per_topic) if math.isnan(value)] == [7]


def test_all_topics_together_have_a_deadline_and_what_came_is_kept(server, tmp_path):
    def slow(connection, stopped):
        stopped.wait(0.1)
        connection.sendall(answer("1"))

    server.state = lambda request: (b"", slow)
    with pytest.raises(UndefinedMetric, match=r"left \d+ topics open after rating.total_seconds=0.5"):
        llm_rating(TOPICS, quick(server.url, total_seconds=0.5), tmp_path)
    num_kept = len(list(tmp_path.glob("ratings/*/*.json"))) - 1  # the manifest
    assert 0 < num_kept < NUM_TOPICS
    server.state = lambda request: (answer("1"), None)
    server.requests.clear()
    assert (llm_rating(TOPICS, quick(server.url), tmp_path) == 1).all()
    assert len(server.requests) == NUM_TOPICS - num_kept


def test_names_that_met_a_failure_are_told_from_those_that_the_model_could_not_give(server):
    server.state = lambda request: (answer("?" if "no name" in request else "Pets"), None)
    writer = quick(server.url, EndpointWriter)
    assert dict(writer.write(["cats", "no name"])) == {0: "Pets", 1: ""}
    server.state = lambda request: (status(503), None)
    assert dict(writer.write(["cats"] * NUM_TOPICS)) == {}


def test_the_same_line_rates_what_a_failed_endpoint_left(server, tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.state = lambda request: (answer("2") if len(server.requests) < 3 else status(503), None)
    line = ["rating=endpoint", f"rating.url={server.url}", "rating.model=judge", "rating.attempts=2"]
    line += ["rating.retry_seconds=0.01", "rating.num_threads=1", "num_topics=6", "rating.num_words=5"]
    caplog.set_level(logging.INFO)
    first = cell(tmp_path / "run", *line, model="kmeans")
    assert (first["status"], first["metrics"]["llm_rating"]) == ("done", None)
    assert first["unfinished"] == ["llm_rating"]
    assert "HTTP 503" in first["reasons"]["llm_rating"]
    assert "the same line asks for it again" in caplog.text
    model = (tmp_path / "run" / "model.safetensors").stat()

    still_down = cell(tmp_path / "run", *line, model="kmeans")
    assert still_down["unfinished"] == ["llm_rating"]

    server.state = lambda request: (answer("3"), None)
    server.requests.clear()
    second = cell(tmp_path / "run", *line, "rating.num_threads=5", model="kmeans")
    assert len(server.requests) == 4
    assert second["metrics"] == {**first["metrics"], "llm_rating": pytest.approx((2 * 2 + 4 * 3) / 6)}
    assert "llm_rating" not in second["reasons"]
    assert (second["unfinished"], second["finished"]) == ([], first["finished"])
    assert (tmp_path / "run" / "model.safetensors").stat() == model
    per_topic = json.loads((tmp_path / "run" / "topic_metrics.json").read_text())
    assert sorted(per_topic["llm_rating"]) == [2, 2, 3, 3, 3, 3]
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == second

    server.requests.clear()
    caplog.clear()
    assert cell(tmp_path / "run", *line, model="kmeans") == second
    assert "reused" in caplog.text
    assert not server.requests
