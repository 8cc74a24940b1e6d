"""Number of topics: criteria over candidate numbers, the elbow of the inertia, and a recommendation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

CRITERIA = ("silhouette", "stability", "npmi", "diversity")  # more is better
NEAR_RANKS = 0.5  # mean ranks this close differ by chance: two places under one criterion of four
MIN_BEND = 0.05  # in the unit square: a curve nearer to its chord has no elbow


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate numbers of topics and their criteria.  num_topics: (C,) distinct, ascending.

    values: {name: (C,)} of CRITERIA and of inertia; nan where a criterion is not defined.
    stds: {name: (C,)} standard deviations over seeds.
    """

    num_topics: np.ndarray
    values: Mapping[str, np.ndarray]
    stds: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Recommended num_topics, see `recommend`.  reason: explanation in words.

    mean_ranks: (C,) over the criteria, 1 is best.  ranks: {criterion: (C,)} for the defined criteria.
    best: the choice of each criterion alone.  dissent: criteria that do not rank num_topics in their best
    third.  bends: (C,) see `bends`.  elbow: None if the curve has none.
    """

    num_topics: int
    reason: str
    mean_ranks: np.ndarray
    ranks: Mapping[str, np.ndarray]
    best: Mapping[str, int]
    dissent: tuple[str, ...]
    bends: np.ndarray
    elbow: int | None


def bends(num_topics: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """Distance (C,) of the curve below the chord between its ends, both axes scaled to 0..1.

    The difference curve of Kneedle (Satopaa et al. 2011) on logarithms: even without clusters in the data,
    inertia falls as a power of the number of clusters, which is curved on plain axes but straight here.
    """
    if len(num_topics) < 3 or inertia.min() <= 0 or inertia[0] <= inertia[-1]:
        return np.zeros(len(num_topics))
    across, down = np.log(num_topics.astype(np.float64)), np.log(inertia)
    across = (across - across[0]) / (across[-1] - across[0])
    down = (down - down[-1]) / (down[0] - down[-1])
    return 1 - across - down


def recommend(candidates: Candidates) -> Recommendation:
    """Recommend the candidate with the best mean rank over the defined criteria.

    Of candidates within NEAR_RANKS of it, the nearest to the elbow; without an elbow, the smallest of tied
    ones. Ranks have no scale, so no criterion outweighs the others. Raises ValueError if none is defined.
    """
    numbers = candidates.num_topics
    ranks = {
        name: rankdata(-candidates.values[name])
        for name in CRITERIA
        if np.isfinite(candidates.values[name]).all()
    }
    if not ranks:
        raise ValueError(
            f"none of {', '.join(CRITERIA)} is defined for every candidate; give more documents or "
            "num_topics=<number>"
        )
    mean_ranks = np.mean(list(ranks.values()), axis=0)
    bent = bends(numbers, candidates.values["inertia"])
    elbow = int(numbers[bent.argmax()]) if bent.max() >= MIN_BEND else None
    tied = np.flatnonzero(mean_ranks <= mean_ranks.min() + (NEAR_RANKS if elbow else 0) + 1e-9)
    away = np.abs(np.log(numbers[tied] / (elbow or numbers[0])))
    chosen = int(tied[away.argmin()])
    best = {name: int(numbers[row.argmin()]) for name, row in ranks.items()}
    third = np.ceil(len(numbers) / 3)
    dissent = tuple(name for name, row in ranks.items() if row[chosen] > third)
    reason = _reason(numbers, chosen, tied, mean_ranks, best, dissent, elbow)
    return Recommendation(int(numbers[chosen]), reason, mean_ranks, ranks, best, dissent, bent, elbow)


def _reason(
    numbers: np.ndarray,
    chosen: int,
    tied: np.ndarray,
    mean_ranks: np.ndarray,
    best: Mapping[str, int],
    dissent: Sequence[str],
    elbow: int | None,
) -> str:
    judged, count, best_rank = _listed(list(best)), len(numbers), mean_ranks.min()
    near = _listed([str(number) for number in numbers[tied]])
    if len(tied) == 1:
        first = f"{numbers[chosen]} topics have the best mean rank of {count} candidates, {best_rank:.2f} "
        first += f"over {judged}"
    elif elbow is None:
        first = f"of {count} candidates {near} have the best mean rank over {judged}, {best_rank:.2f}; "
        first += f"{numbers[chosen]} is the smallest of them"
    else:
        first = (
            f"of {count} candidates {near} have mean ranks over {judged} within {NEAR_RANKS} of the best, "
        )
        first += f"{best_rank:.2f}; {numbers[chosen]} is nearest to the elbow of the inertia at {elbow}"
    parts = [first]
    alone = ", ".join(f"{name} {number}" for name, number in best.items())
    bend = f"the elbow of the inertia is at {elbow}" if elbow else "the inertia has no elbow"
    parts.append(f"the choices of single criteria are {alone}; {bend}")
    if not dissent:
        parts.append("the criteria agree: all rank it in their best third")
    else:
        strength = "the criteria disagree" if 2 * len(dissent) >= len(best) else "most criteria agree"
        asked = _listed([f"{name} prefers {_place(numbers, best[name])}" for name in dissent])
        parts.append(f"{strength}: {asked}")
    parts += _beyond(numbers, chosen, best)
    if missing := [name for name in CRITERIA if name not in best]:
        parts.append(f"not defined for every candidate: {_listed(missing)}")
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _beyond(numbers: np.ndarray, chosen: int, best: Mapping[str, int]) -> list[str]:
    """Hints that a wider grid may change the choice: it, or half of the criteria's, is an end of the grid."""
    ends = ((0, "smallest", "below it"), (len(numbers) - 1, "largest", "above it"))
    found = []
    for place, name, side in ends:
        there = [criterion for criterion, number in best.items() if number == numbers[place]]
        if chosen == place:
            found.append(f"it is the {name} candidate: add candidates {side} to select_k.candidates")
        elif 2 * len(there) >= len(best):
            verb = "is" if len(there) == 1 else "are"
            found.append(
                f"{_listed(there)} {verb} best at the {name} candidate, {numbers[place]}: with candidates "
                f"{side} the choice may move that way"
            )
    return found


def _place(numbers: np.ndarray, number: int) -> str:
    end = {int(numbers[0]): " (the smallest candidate)", int(numbers[-1]): " (the largest candidate)"}
    return f"{number}{end.get(number, '')}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + [names[-1]])
