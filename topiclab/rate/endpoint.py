"""Ratings by a model behind an OpenAI-compatible URL: called only when the user names one."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import Annotated, Any

from pydantic import Field

from topiclab.limits import Count, Weight
from topiclab.metrics.rating import RatingError
from topiclab.rate.rater import Question

log = logging.getLogger(__name__)

SECONDS = 60.0  # time limit of one reply, and the longest wait before the next attempt
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)  # HTTP status codes after which to try again
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


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes every redirect an error: words and key go to the named URL only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class EndpointRater:
    """Rates a topic by one digit, one completion token of a chat model (Stammbach et al. 2023).

    url: of the API, such as https://api.openai.com/v1; /chat/completions is appended.
    prompt: holds {words}; sent as the only message.
    key_variable: the environment variable that holds the API key; null sends none. The key appears in no
        configuration, log, cache or error.
    attempts: maximum number of requests per topic. After a reply that is not a digit, the temperature rises
        by 0.1; after a failure, the wait is retry_seconds, then twice as long each time, at most a minute.
    num_threads: number of requests at a time.
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
    ) -> None:
        if key_variable is not None and not os.environ.get(key_variable):
            raise ValueError(
                f"rating.key_variable={key_variable}, but that environment variable is not set; export it, "
                "or use null for an endpoint without a key"
            )
        self.url, self.model, self.prompt = url.rstrip("/"), model, prompt.strip()
        self.num_words, self.key_variable = num_words, key_variable
        self.attempts, self.retry_seconds, self.num_threads = attempts, retry_seconds, num_threads
        self.opener = urllib.request.build_opener(NoRedirect)

    def fingerprint(self) -> dict[str, Any]:
        return {"rater": "endpoint", "url": self.url, "model": self.model, "prompt": self.prompt}

    def rate(self, topics: Sequence[Sequence[str]]) -> Iterator[tuple[int, Any]]:
        """Position and rating, or why there is none, as replies come; RatingError once attempts run out."""
        stopped = Event()
        failures: list[RatingError] = []
        threads = ThreadPoolExecutor(self.num_threads)
        places = {threads.submit(self._rate, words, stopped): place for place, words in enumerate(topics)}
        try:
            for future in as_completed(places):
                if future.cancelled():
                    continue
                if isinstance(error := future.exception(), RatingError):
                    failures.append(error)
                    stopped.set()
                    threads.shutdown(wait=False, cancel_futures=True)
                    continue
                yield places[future], future.result()
        finally:
            stopped.set()
            threads.shutdown(cancel_futures=True)
        if failures:
            raise failures[0]

    def content(self, words: Sequence[str]) -> str:
        """The message that asks about one topic."""
        return self.prompt.replace("{words}", ", ".join(words))

    def value(self, reply: str) -> Any:
        """Value of a reply; None if it has to be requested again."""
        found = DIGIT.fullmatch(reply)
        return float(found.group(1)) if found else None

    def _rate(self, words: Sequence[str], stopped: Event) -> Any:
        num_invalid = num_failures = 0
        reply = fault = ""
        while num_invalid + num_failures < self.attempts:
            try:
                reply = self._reply(words, temperature=round(0.1 * num_invalid, 1))
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
                fault = _described(error)
                if isinstance(error, urllib.error.HTTPError) and error.code not in PASSING:
                    raise RatingError(f"{self.url} refuses: {fault}") from None
                num_failures += 1
                log.warning("rating by %s failed (%s), attempt %d", self.url, fault, num_failures)
                if stopped.wait(min(self.retry_seconds * 2 ** (num_failures - 1), SECONDS)):
                    break
                continue
            fault = ""
            if (value := self.value(reply)) is not None:
                return value
            num_invalid += 1
        if fault:
            raise RatingError(f"{self.url} failed {num_failures} times, at last with {fault}")
        return f"{self.model} gave no {self.wanted} in {num_invalid} replies, at last {reply[:40]!r}"

    def _reply(self, words: Sequence[str], temperature: float) -> str:
        """Text of a reply; OSError if none came, KeyError and the like if it is not a completion."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": self.content(words)}],
            "max_tokens": self.max_tokens,
            "temperature": temperature,
        }
        request = urllib.request.Request(
            f"{self.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        if self.key_variable is not None:
            request.add_unredirected_header("Authorization", f"Bearer {os.environ[self.key_variable]}")
        with self.opener.open(request, timeout=SECONDS) as response:
            return str(json.loads(response.read())["choices"][0]["message"]["content"])


def _described(error: Exception) -> str:
    """Describe an error in one line, never with what was sent."""
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"{error.reason}"
    return (
        f"{type(error).__name__}: {error}" if isinstance(error, OSError) else "a reply without a completion"
    )
