"""Ratings by a tiny language model, and by a server on this machine that fails, babbles, then answers."""

import json
import math
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from made_results import FixedRater, make_corpus, make_result
from made_settings import trainer
from tiny_lm import save_lm

from topiclab.config.compose import ConfigError, compose
from topiclab.metrics.evaluate import evaluate
from topiclab.metrics.rating import RatingError, llm_rating
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.rate.endpoint import EndpointRater
from topiclab.rate.local import LocalRater
from topiclab.rate.rater import make_rater

PROMPT = "Rate the words from 1 to 3.\nWords: {words}\nNumber:"
TOPICS = [["cat", "dog", "fox"], ["music", "cat", "theme"], ["dog", "sports", "fox"]]
SECRET = "a-secret-that-stays-here"


@pytest.fixture
def no_network(monkeypatch):
    """Fail the test on any attempt to reach another socket."""
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, lambda *_: pytest.fail("a socket was opened"))
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, lambda *_, **__: pytest.fail("a socket was opened"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_lm(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture
def server(monkeypatch):
    """Start a server that takes its replies from `replies` by a topic's first word and repeats the last one.

    A number is an HTTP state, None a broken line, bytes a whole body, a text the completion.
    """
    requests, replies = [], {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "headers": dict(self.headers), **body})
            first = body["messages"][0]["content"].split("Words: ")[1].split(",")[0]
            waiting = replies.get(first, ["2"])
            reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if reply is None:
                self.close_connection = True
                return
            content = {"choices": [{"message": {"content": str(reply)}}]}
            self.send_response(reply if isinstance(reply, int) else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(reply if isinstance(reply, bytes) else json.dumps(content).encode())

        def log_message(self, *_):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/v1", requests, replies
        listening.shutdown()


def endpoint(url, **changes):
    options = {"model": "judge", "prompt": PROMPT, "num_words": 3, "retry_seconds": 0.001, **changes}
    return EndpointRater(url, **options)


def test_each_list_of_words_is_rated_once_per_rater(tmp_path):
    rater = FixedRater()
    np.testing.assert_allclose(llm_rating([["a"], ["a", "b"]], rater, tmp_path), [1.1, 1.2])
    np.testing.assert_allclose(llm_rating([["b", "a"], ["a", "b"], ["a"]], rater, tmp_path), [1.2, 1.2, 1.1])
    assert rater.asked == [["a"], ["a", "b"], ["b", "a"]]
    other = FixedRater(model="another")
    llm_rating([["a"]], other, tmp_path)
    llm_rating([["a"]], other, None)
    assert other.asked == [["a"], ["a"]]
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("ratings/*/manifest.json")]
    assert {json.dumps(each["inputs"]) for each in manifests} == {
        json.dumps(each.fingerprint()) for each in (rater, other)
    }


def test_a_damaged_rating_is_taken_anew(tmp_path, caplog):
    llm_rating([["a"]], FixedRater(), tmp_path)
    (path,) = (path for path in (tmp_path / "ratings").glob("*/*.json") if path.name != "manifest.json")
    path.write_text("{")
    assert llm_rating([["a"]], FixedRater(), tmp_path) == pytest.approx(1.1)
    assert "damaged" in caplog.text


def test_what_was_rated_before_a_failure_is_kept(tmp_path):
    topics = [["a"], ["babble"], ["end"], ["b"]]
    with pytest.raises(UndefinedMetric, match="3 of 4 topics were not rated: the line is dead") as caught:
        llm_rating(topics, FixedRater(), tmp_path)
    np.testing.assert_allclose(caught.value.per_topic, [1.1, math.nan, math.nan, math.nan])
    again = FixedRater()
    with pytest.raises(UndefinedMetric, match=r"1 of 3 topics were not rated: no digit"):
        llm_rating([["a"], ["babble"], ["b"]], again, tmp_path)
    assert again.asked == [["babble"], ["b"]]


def test_the_metric_and_its_values_by_topic():
    result, corpus = make_result(), make_corpus()
    found = evaluate(result, corpus, rater=FixedRater())
    assert found.metrics["llm_rating"] == pytest.approx(2.5)
    assert found.per_topic["llm_rating"] == pytest.approx([2.5] * 4)
    assert "rating=local or rating=endpoint" in evaluate(result, corpus).reasons["llm_rating"]


@pytest.mark.parametrize("options", [{}, {"chat": True}, {"appends_end": True}])
def test_local_rating_is_the_expected_digit_of_the_models_own_logits(options, tmp_path, no_network):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_lm(tmp_path / "lm", **options)
    rater = LocalRater(
        str(folder), PROMPT, 3, chat_template="chat" in options, device="cpu", precision="fp32"
    )
    found = llm_rating(TOPICS, rater, tmp_path / "cache")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for words, rating in zip(TOPICS, found, strict=True):
        text = PROMPT.replace("{words}", ", ".join(words))
        text = f"<s><user>{text}</s>" if "chat" in options else f"<s>{text} "
        ids = [tokenizer(text + digit, add_special_tokens=False)["input_ids"] for digit in "123"]
        with torch.no_grad():
            logits = model(torch.tensor([ids[0][:-1]])).logits[0, -1, [row[-1] for row in ids]]
        assert rating == pytest.approx(float(logits.softmax(0) @ torch.tensor([1.0, 2.0, 3.0])), abs=1e-4)
    assert len(set(found.tolist())) == 3
    assert all(1 < rating < 3 for rating in found)


def test_none_and_local_open_no_socket(tiny, no_network):
    result, corpus = make_result(), make_corpus()
    for overrides in ([], ["rating=local", f"rating.path={tiny}"]):
        rater = make_rater(compose(overrides)["rating"], trainer())
        found = evaluate(result, corpus, rater=rater)
        assert math.isfinite(found.metrics["llm_rating"]) == bool(overrides)
    with pytest.raises(pytest.fail.Exception, match="a socket was opened"):
        llm_rating(TOPICS, endpoint("http://127.0.0.1:9"), None)


def test_a_model_without_a_head_is_refused_by_the_raters_own_option(tiny, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(tiny).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path)
    rater = LocalRater(str(tmp_path), PROMPT, 3, device="cpu")
    with pytest.raises(ValueError, match=r"no lm_head.weight; give a model .* as rating\.path"):
        llm_rating(TOPICS, rater, None)


def test_a_chat_without_template_is_refused(tiny):
    rater = LocalRater(str(tiny), PROMPT, 3, chat_template=True, device="cpu")
    with pytest.raises(ValueError, match=r"rating\.chat_template=false"):
        llm_rating(TOPICS, rater, None)


def test_an_endpoint_that_fails_and_babbles_is_asked_until_it_answers(server, monkeypatch, tmp_path, caplog):
    url, requests, replies = server
    monkeypatch.setenv("MY_KEY", SECRET)
    replies |= {"cat": [503, None, b"{", "well", "hm", "3"], "music": ["2."], "dog": ["1"]}
    rater = endpoint(url, key_variable="MY_KEY")
    np.testing.assert_array_equal(llm_rating(TOPICS, rater, tmp_path), [3, 2, 1])
    asked = [each for each in requests if "Words: cat, dog, fox\n" in each["messages"][0]["content"]]
    assert [each["temperature"] for each in asked] == [0, 0, 0, 0, 0.1, 0.2]
    assert {each["path"] for each in requests} == {"/v1/chat/completions"}
    assert {(each["model"], each["max_tokens"]) for each in requests} == {("judge", 1)}
    assert {each["headers"]["Authorization"] for each in requests} == {f"Bearer {SECRET}"}
    assert "HTTP 503" in caplog.text
    written = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert len(written) == 4
    assert not any(SECRET in text for text in [*written, caplog.text])
    num_requests = len(requests)
    llm_rating(TOPICS, endpoint(url), tmp_path)
    assert len(requests) == num_requests


def test_a_topic_without_digit_costs_the_metric_and_not_the_other_topics(server, tmp_path):
    url, requests, replies = server
    replies["music"] = ["good"]
    with pytest.raises(
        UndefinedMetric, match=r"1 of 3 topics .* no digit in 4 replies, at last 'good'"
    ) as caught:
        llm_rating(TOPICS, endpoint(url, attempts=4), tmp_path)
    np.testing.assert_array_equal(caught.value.per_topic, [2, math.nan, 2])
    warmer = [each["temperature"] for each in requests if "Words: music" in each["messages"][0]["content"]]
    assert warmer == [0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("reply", "message", "num_requests"),
    [
        (500, "failed 3 times, at last with HTTP 500", 3),
        (None, "failed 3 times, at last with Remote", 3),
        (b"[]", "at last with a reply without a completion", 3),
        (401, "refuses: HTTP 401", 1),
        (302, "refuses: HTTP 302", 1),
    ],
)
def test_an_endpoint_that_stays_down_stops_the_rating(reply, message, num_requests, server, monkeypatch):
    url, requests, replies = server
    monkeypatch.setenv("MY_KEY", SECRET)
    replies["cat"] = [reply]
    rater = endpoint(url, attempts=3, num_threads=1, key_variable="MY_KEY")
    with pytest.raises(UndefinedMetric, match=message) as caught:
        llm_rating([TOPICS[1], TOPICS[0], TOPICS[2]], rater, None)
    assert caught.value.per_topic[0] == 2
    assert SECRET not in str(caught.value)
    asked = [each for each in requests if "Words: cat, dog, fox\n" in each["messages"][0]["content"]]
    assert len(asked) == num_requests
    assert "/elsewhere" not in {each["path"] for each in requests}


def test_waits_grow_and_end(server):
    url, _, replies = server
    waits = []

    class Clock(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    replies["cat"] = [500]
    rater = endpoint(url, retry_seconds=1.0)
    with pytest.raises(RatingError, match="failed 10 times"):
        rater._rate(TOPICS[0], Clock())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["rating=local"], "rating.path has no value here"),
        (["rating=endpoint", "rating.url=http://x"], "rating.model has no value here"),
        (["rating=endpoint", "rating.url=ftp://x", "rating.model=m"], "rating.url=ftp://x is refused"),
        (["rating=endpoint", "rating.url='http://me:pw@x'", "rating.model=m"], "without a password"),
        (["rating=local", "rating.path=x", "rating.prompt=rate"], r"holds {words}"),
    ],
)
def test_ratings_that_cannot_run_are_refused(overrides, told):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    assert told in str(caught.value)


def test_a_key_that_is_not_there_and_a_model_that_is_not_there(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ValueError, match=r"rating\.key_variable=MY_KEY, but that environment variable"):
        endpoint("http://localhost", key_variable="MY_KEY")
    with pytest.raises(FileNotFoundError, match=r"rating\.path=/no/model is neither"):
        LocalRater("/no/model", PROMPT, 3)
