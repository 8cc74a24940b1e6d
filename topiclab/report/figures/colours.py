"""Colours of topics on a map: few enough to be distinguishable, and different between neighbours."""

from __future__ import annotations

import numpy as np

HUES = 15
SHADES = ((0.64, 0.17), (0.76, 0.125), (0.58, 0.13))  # lightness, chroma: visible on white and near-black
REPEATED = 0.06  # penalty, as a distance in OKLab, for each further use of a colour
NEAR = 6  # neighbours on the map from which a colour must differ most


def distinct_colours(places: np.ndarray, order: np.ndarray) -> list[str]:
    """Colour "#rrggbb" for each of N places (N, 2) on a map, chosen in the given order (largest first).

    Greedy: each place takes, of HUES x SHADES colours, the one farthest in OKLab from those of its nearest
    places and then from all others in use, with a preference for unused colours.
    """
    colours = _palette()
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    chosen, used = np.zeros(len(places), int), np.zeros(len(colours), int)
    for turn, at in enumerate(order):
        others = order[:turn]
        if turn:
            distances = np.hypot(*(places[others] - places[at]).T)
            near = chosen[others[np.argsort(distances, kind="stable")[:NEAR]]]
            score = apart[:, near].min(axis=1) + 0.5 * apart[:, chosen[others]].min(axis=1)
            chosen[at] = (score - REPEATED * (used - used.min())).argmax()
        used[chosen[at]] += 1
    return [_hex(colours[number]) for number in chosen]


def _palette() -> np.ndarray:
    """OKLab colours (HUES x SHADES, 3); the hues of one shade lie between those of the next."""
    found = []
    for number, (lightness, chroma) in enumerate(SHADES):
        hues = 2 * np.pi * (np.arange(HUES) + number / len(SHADES)) / HUES + 0.45
        found.append(
            np.stack([np.full(HUES, lightness), chroma * np.cos(hues), chroma * np.sin(hues)], axis=1)
        )
    return np.concatenate(found)


def _hex(oklab: np.ndarray) -> str:
    """Convert OKLab to sRGB (Ottosson 2020), clipped to its gamut."""
    to_lms = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_rgb @ (to_lms @ oklab) ** 3, 0, 1)
    gamma = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * value):02x}" for value in gamma)
