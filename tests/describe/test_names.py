"""Names of topics by a tiny language model, and by a server on this machine that fails and babbles."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from made_settings import trainer
from tiny_lm import save_lm

from topiclab.config.compose import ConfigError, compose
from topiclab.describe.labels import label_topics
from topiclab.describe.names import topic_prompts, written_names
from topiclab.describe.representatives import Representatives
from topiclab.describe.terms import Terms
from topiclab.rate.writer import MAX_REPLY_LENGTH, EndpointWriter, LocalWriter, make_writer, tidy_name

PROMPT = "Name the topic.\nTerms: {terms}\nTitles:\n{titles}\nName:"
TRAINER = trainer()
WORDS = [["cat", "dog"], ["music"], []]
TERMS = Terms(WORDS, [[1.0] * len(words) for words in WORDS], [], WORDS)
ROWS = np.array([[0, 1], [2, -1], [-1, -1]])
CHOSEN = Representatives(ROWS, ROWS.astype(np.float32), ROWS, ROWS.astype(np.float32))
TITLES = [r"On \emph{cats}", "On dogs", "On <b>music</b>"]


@pytest.fixture
def server(monkeypatch):
    """Start a server that takes its replies from `replies` by the first term and repeats the last one."""
    requests, replies = [], {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(body)
            first = body["messages"][0]["content"].split("Terms: ")[1].split("\n")[0].split(",")[0]
            waiting = replies[first]
            reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(reply if isinstance(reply, int) else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": {"content": str(reply)}}]}).encode())

        def log_message(self, *_):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/v1", requests, replies
        listening.shutdown()


class FixedWriter:
    def __init__(self, names):
        self.names, self.asked = names, []

    def fingerprint(self):
        return {"writer": "fixed"}

    def write(self, prompts):
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt)
            yield place, self.names[len(self.asked) - 1]


def test_prompts_hold_terms_and_cleaned_titles():
    prompts = topic_prompts(PROMPT, TERMS, TITLES, CHOSEN)
    assert prompts[0] == "Name the topic.\nTerms: cat, dog\nTitles:\n- On cats\n- On dogs\nName:"
    assert prompts[2] == ""


def test_each_prompt_is_asked_once_and_names_lead_the_labels(tmp_path, caplog):
    prompts = topic_prompts(PROMPT, TERMS, TITLES, CHOSEN)
    writer = FixedWriter(["Pets", ""])
    names = written_names(prompts, writer, tmp_path)
    assert names == (["Pets", "", ""], 0)
    assert writer.asked == prompts[:2]
    labels = ["Pets | On cats", "music | On <b>music</b>", "topic 2"]
    assert label_topics(TERMS, TITLES, CHOSEN, names.names) == labels
    again = FixedWriter(["Sound"])
    assert written_names(prompts, again, tmp_path).names == ["Pets", "Sound", ""]
    assert again.asked == prompts[1:2]
    for path in (tmp_path / "names").rglob("*.json"):
        path.write_text("{")
    assert written_names(prompts, FixedWriter(["A", "B"]), tmp_path).names == ["A", "B", ""]
    assert "damaged" in caplog.text
    assert label_topics(TERMS, TITLES, CHOSEN, ["Same", "Same", ""])[1].startswith("music | ")


@pytest.mark.parametrize("chat", [False, True])
def test_a_local_model_writes_its_likeliest_tokens(chat, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_lm(tmp_path / "lm", chat=chat)
    options = ["rating=local", f"rating.path={folder}", f"rating.chat_template={str(chat).lower()}"]
    writer = make_writer(compose(options)["rating"], TRAINER)
    assert isinstance(writer, LocalWriter)
    prompts = topic_prompts(PROMPT, TERMS, TITLES, CHOSEN)[:2]
    found = dict(writer.write(prompts))
    assert found == dict(writer.write(prompts))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for place, prompt in enumerate(prompts):
        text = f"<s><user>{prompt}</s>" if chat else f"<s>{prompt}"
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            after = model.generate(ids, max_new_tokens=MAX_REPLY_LENGTH, do_sample=False, pad_token_id=1)
        reply = tokenizer.decode(after[0, ids.shape[1] :], skip_special_tokens=True)
        assert found[place] == tidy_name(reply)


def test_an_endpoint_that_fails_and_babbles_is_asked_until_it_names(server, tmp_path, caplog):
    url, requests, replies = server
    replies |= {"cat": [503, "...", 'Topic: "Pets | animals"\nbecause'], "music": ["Music."]}
    options = ["rating=endpoint", f"rating.url={url}", "rating.model=judge", "rating.retry_seconds=0.001"]
    writer = make_writer(compose(options)["rating"], TRAINER)
    assert isinstance(writer, EndpointWriter)
    prompts = topic_prompts(PROMPT, TERMS, TITLES, CHOSEN)
    assert written_names(prompts, writer, tmp_path) == (["Pets / animals", "Music", ""], 0)
    assert {each["max_tokens"] for each in requests} == {MAX_REPLY_LENGTH}
    num_requests = len(requests)
    written_names(prompts, writer, tmp_path)
    assert len(requests) == num_requests
    replies |= {"cat": ["?"], "music": [401]}
    assert written_names(prompts, writer, None).num_unanswered in (1, 2)  # the model babbles of one
    assert "keep" in caplog.text


def test_a_writer_needs_a_model(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    asked = ["task=describe", f"run={tmp_path}", "describe.labels.labeller=model"]
    with pytest.raises(ConfigError, match="needs a language model, but rating=none"):
        compose(asked)
    compose([*asked, "rating=endpoint", "rating.url=http://x", "rating.model=m"])
    with pytest.raises(ConfigError, match=r"a text that contains \{terms\}"):
        compose([*asked, "describe.labels.prompt=name"])
    with pytest.raises(ValueError, match="rating=local"):
        make_writer(compose([])["rating"], TRAINER)


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        ("\n\n  **Deep   learning**.\nIt is", "Deep learning"),
        ("Label: 'Dark matter'", "Dark matter"),
        ("a | b", "a / b"),
        ("\x1b[0m!?", "[0m!?"),
        ("...", ""),
        ("", ""),
        ("word " * 30, ""),
    ],
)
def test_names_are_tidied(reply, name):
    assert tidy_name(reply) == name
