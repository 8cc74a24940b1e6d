"""Ratings by a model behind an OpenAI-compatible URL: called only when the user names one."""

from __future__ import annotations

import json
import logging
import os
import re
import time
import urllib.error
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Annotated, Any

from pydantic import Field

from topiclab.limits import Count, Positive, Weight
from topiclab.metrics.rating import RatingError
from topiclab.rate.rater import Question
from topiclab.rate.reply import LinedRequest, OddReply, fetch, make_opener

log = logging.getLogger(__name__)

MAX_WAIT = 60.0  # seconds before the next attempt
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)  # HTTP status codes after which to try again
OF_TOPIC = (400, 413, 422)  # HTTP status codes that refuse these words, such as a content filter's
MAX_FAILED_TOPICS = 5  # without a single answer, before the endpoint counts as down
MAX_SHOWN = 60  # characters of what a server sent
DIGIT = re.compile(r"\W*([123])\W*")

Url = Annotated[
    str,
    Field(
        pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
        description="an address such as https://api.openai.com/v1, without a password or a query",
    ),
]
Variable = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_]\w*$", description="the name of an environment variable, not a key"),
]
Topic = tuple[int, Sequence[str]]  # position and words


class EndpointDown(RatingError):
    """Raised for a failure that every other topic would meet too."""


class EndpointRater:
    """Rates a topic by one digit, one completion token of a chat model (Stammbach et al. 2023).

    url: of the API, such as https://api.openai.com/v1; /chat/completions is appended.
    prompt: holds {words}; sent as the only message.
    key_variable: the environment variable that holds the API key; null sends none. The key appears in no
        configuration, log, cache or error.
    attempts: maximum number of requests per topic. After a reply that is not a digit, the temperature rises
        by 0.1; after a failure, the wait is retry_seconds, then twice as long each time, at most a minute.
    num_threads: number of requests at a time.
    reply_seconds: deadline of one reply, from the look-up of the address to its last byte.
    total_seconds: deadline of all topics together.
    """

    max_tokens = 1
    wanted = "digit"

    def __init__(
        self,
        url: Url,
        model: str,
        prompt: Question,
        num_words: Count,
        key_variable: Variable | None = None,
        attempts: Count = 10,
        retry_seconds: Weight = 1.0,
        num_threads: Count = 5,
        reply_seconds: Positive = 60.0,
        total_seconds: Positive = 1800.0,
    ) -> None:
        if key_variable is not None and not os.environ.get(key_variable):
            raise ValueError(
                f"rating.key_variable={key_variable}, but that environment variable is not set; export it, "
                "or use null for an endpoint without a key"
            )
        self.url, self.model, self.prompt = url.rstrip("/"), model, prompt.strip()
        self.num_words, self.key_variable = num_words, key_variable
        self.attempts, self.retry_seconds, self.num_threads = attempts, retry_seconds, num_threads
        self.reply_seconds, self.total_seconds = reply_seconds, total_seconds
        self.opener = make_opener()

    def fingerprint(self) -> dict[str, Any]:
        return {"rater": "endpoint", "url": self.url, "model": self.model, "prompt": self.prompt}

    def rate(self, topics: Sequence[Sequence[str]]) -> Iterator[tuple[int, Any]]:
        """Yield position and rating, the reason for none, or the RatingError of this topic, as replies come.

        Raises RatingError, after the ratings that have come by then, when the endpoint is down or
        total_seconds are over; nothing waits for requests that are still open then.
        """
        stopped = Event()
        asked: SimpleQueue[Topic] = SimpleQueue()
        found: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        for topic in enumerate(topics):
            asked.put(topic)
        # daemons: a process may end while a server that does not answer is being waited for
        for _ in range(min(self.num_threads, len(topics))):
            Thread(target=self._work, args=(asked, found, stopped), name="rating", daemon=True).start()
        try:
            yield from self._taken(found, len(topics))
        finally:
            stopped.set()

    def content(self, words: Sequence[str]) -> str:
        """The message that asks about one topic."""
        return self.prompt.replace("{words}", ", ".join(words))

    def value(self, reply: str) -> Any:
        """Value of a reply; None if it has to be requested again."""
        found = DIGIT.fullmatch(reply)
        return float(found.group(1)) if found else None

    def _work(self, asked: SimpleQueue[Topic], found: SimpleQueue[tuple[int, Any]], stopped: Event) -> None:
        """Rate topics until none is left or the rating has stopped."""
        while not stopped.is_set():
            try:
                place, words = asked.get_nowait()
            except Empty:
                return
            try:
                outcome = self._rate(words, stopped)
            except RatingError as error:
                outcome = error
            except Exception as error:  # whatever a server sends costs its topic, never the cell
                outcome = RatingError(f"{self.url} failed: {self._described(error)}")
            except BaseException as error:  # such as SystemExit: not the server's
                outcome = error
            found.put((place, outcome))
            if isinstance(outcome, EndpointDown):
                stopped.set()  # here, since this thread would take another topic before the reader sees it

    def _taken(self, found: SimpleQueue[tuple[int, Any]], num_topics: int) -> Iterator[tuple[int, Any]]:
        """Yield num_topics outcomes as they come; RatingError at the first that stops the others."""
        deadline = time.monotonic() + self.total_seconds
        num_answered = num_failed = 0
        down: RatingError | None = None
        for left in range(num_topics, 0, -1):
            try:
                # once down, take what has come already, and wait for nothing
                place, outcome = found.get(timeout=0 if down else max(0.0, deadline - time.monotonic()))
            except Empty:
                late = f"{self.url} left {left} topics open after rating.total_seconds={self.total_seconds:g}"
                raise down or RatingError(late) from None
            if isinstance(outcome, BaseException) and not isinstance(outcome, RatingError):
                raise outcome
            if isinstance(outcome, RatingError):
                num_failed += 1
                if isinstance(outcome, EndpointDown) or (
                    num_failed >= MAX_FAILED_TOPICS and not num_answered
                ):
                    down = down or outcome
            else:
                num_answered += 1
            yield place, outcome
        if down:
            raise down

    def _rate(self, words: Sequence[str], stopped: Event) -> Any:
        """Value of one topic, or the reason why the model gave none; RatingError if no reply was one."""
        num_invalid = num_failures = 0
        reply, fault, kind = "", "", RatingError
        while num_invalid + num_failures < self.attempts and not stopped.is_set():
            try:
                reply = completion_of(self._reply(words, temperature=round(0.1 * num_invalid, 1)))
            except Exception as error:  # urllib's, http.client's, ssl's, or that of an odd reply
                fault, kind = self._described(error), kind_of(error)
                if isinstance(error, urllib.error.HTTPError) and error.code not in PASSING:
                    raise kind(f"{self.url} refuses: {fault}") from None
                if stopped.is_set():
                    break
                num_failures += 1
                log.warning("rating by %s failed (%s), attempt %d", self.url, fault, num_failures)
                if num_invalid + num_failures < self.attempts:
                    stopped.wait(min(self.retry_seconds * 2 ** min(num_failures - 1, 60), MAX_WAIT))
                continue
            fault = ""
            if (value := self.value(reply)) is not None:
                return value
            num_invalid += 1
        if fault or stopped.is_set():
            raise kind(f"{self.url} failed {num_failures} times, at last with {fault}")
        return f"{self.model} gave no {self.wanted} in {num_invalid} replies, at last {self._shown(reply)!r}"

    def _reply(self, words: Sequence[str], temperature: float) -> bytes:
        """Body of a reply; OSError if none came."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": self.content(words)}],
            "max_tokens": self.max_tokens,
            "temperature": temperature,
        }
        request = LinedRequest(
            f"{self.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        if self.key_variable is not None:
            request.add_unredirected_header("Authorization", f"Bearer {os.environ[self.key_variable]}")
        return fetch(self.opener, request, self.reply_seconds)

    def _described(self, error: Exception) -> str:
        """Describe an error in one line, never with what was sent."""
        if isinstance(error, urllib.error.HTTPError):
            with error:
                return self._shown(f"HTTP {error.code} {error.reason}")
        if isinstance(error, urllib.error.URLError):
            return self._shown(f"{error.reason}")
        if isinstance(error, OddReply):
            return str(error)
        # the message of another error may quote the headers
        return self._shown(
            f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
        )

    def _shown(self, text: str) -> str:
        """Printable start of a text by the server, without the key, which a server can send back."""
        if self.key_variable is not None and (key := os.environ.get(self.key_variable)):
            text = text.replace(key, "***")
        return "".join(sign if sign.isprintable() else " " for sign in text)[:MAX_SHOWN]


def completion_of(body: bytes) -> str:
    """Text of a completion; OddReply if the body is not one."""
    try:
        return str(json.loads(body)["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise OddReply("a reply without a completion") from error


def kind_of(error: Exception) -> type[RatingError]:
    """EndpointDown for what other topics would meet too; RatingError for a reply to this topic alone."""
    if isinstance(error, urllib.error.HTTPError):
        return RatingError if error.code in OF_TOPIC else EndpointDown
    return EndpointDown if isinstance(error, OSError) else RatingError
