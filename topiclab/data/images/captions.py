"""Captions of labelled images, written from the class alone: its names and descriptions of such pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# label: names of the class, and descriptions of such a picture
Described = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]

DIGITS: Described = {
    "0": (
        ("zero", "nought", "a null"),
        ("one closed round loop", "an empty oval ring", "a circle with a hole inside"),
    ),
    "1": (
        ("one", "a single unit"),
        ("one straight vertical line", "an upright stroke with a short flag", "a thin vertical bar"),
    ),
    "2": (
        ("two", "a pair"),
        (
            "an open curve over a flat base",
            "a swan neck that ends in a horizontal line",
            "a hook and a base line",
        ),
    ),
    "3": (
        ("three", "a triple"),
        ("two open bows, both facing left", "a double curve open on the left", "two half circles stacked"),
    ),
    "4": (
        ("four", "a quartet"),
        (
            "a corner crossed by a vertical line",
            "an open triangle on a vertical stem",
            "three straight strokes that cross",
        ),
    ),
    "5": (
        ("five", "half of ten"),
        (
            "a flat top over an open belly",
            "a horizontal bar, a corner and a bow",
            "a straight top and a curve below",
        ),
    ),
    "6": (
        ("six", "half a dozen"),
        (
            "a curved stem with a loop at the bottom",
            "a closed loop below a long bow",
            "a spiral that closes below",
        ),
    ),
    "7": (
        ("seven", "the lucky number"),
        (
            "a flat top and a slanted stroke",
            "a horizontal bar on a diagonal line",
            "a sharp corner with a slanted stem",
        ),
    ),
    "8": (
        ("eight", "a double four"),
        ("two closed loops, one on top of the other", "a crossing curve with two holes", "two rings stacked"),
    ),
    "9": (
        ("nine", "one less than ten"),
        (
            "a closed loop on top of a stem",
            "a ring above a straight tail",
            "a loop at the top with a curved tail",
        ),
    ),
}
CIFAR10: Described = {
    "airplane": (
        ("airplane", "jet", "aircraft"),
        ("wings against the sky", "a fuselage above the clouds", "a plane on the runway"),
    ),
    "automobile": (
        ("automobile", "car", "sedan"),
        ("four wheels on the road", "headlights and a windscreen", "a parked vehicle"),
    ),
    "bird": (
        ("bird", "songbird", "fowl"),
        ("feathers and a beak", "perched on a branch", "wings spread over grass"),
    ),
    "cat": (
        ("cat", "kitten", "tabby"),
        ("whiskers and pointed ears", "a furry pet on a sofa", "soft fur and green eyes"),
    ),
    "deer": (
        ("deer", "stag", "doe"),
        ("antlers among the trees", "grazing in the forest", "slender legs on a meadow"),
    ),
    "dog": (
        ("dog", "puppy", "hound"),
        ("floppy ears and a snout", "a furry pet on a leash", "a wagging tail"),
    ),
    "frog": (
        ("frog", "toad", "amphibian"),
        ("green skin beside a pond", "a wide mouth and wet skin", "sitting on a leaf"),
    ),
    "horse": (
        ("horse", "pony", "mare"),
        ("a mane and four hooves", "galloping over a meadow", "a rider in the saddle"),
    ),
    "ship": (
        ("ship", "boat", "vessel"),
        ("a hull on the water", "sailing on the blue sea", "a mast above the waves"),
    ),
    "truck": (
        ("truck", "lorry", "van"),
        ("a trailer on the road", "a big cab with large wheels", "cargo on a heavy vehicle"),
    ),
}
DESCRIBED = {"digits": DIGITS, "cifar10": CIFAR10}
TEMPLATES = {
    "digits": (
        "a handwritten {name}, drawn as {look}",
        "the digit {name}: {look}",
        "{look}, which is written for {name}",
        "somebody wrote the number {name} with {look}",
    ),
    "cifar10": (
        "a photo of a {name}: {look}",
        "{look}, a small picture of a {name}",
        "this {name} shows {look}",
        "{name} with {look}",
    ),
}


def write_captions(source: str, label_names: Sequence[str], labels: np.ndarray, seed: int) -> list[str]:
    """One caption for each label id (D,): a template, a name and a look of its class, each drawn at random.

    source: digits | cifar10.  Raises ValueError for another source, or a label without descriptions.
    """
    if source not in DESCRIBED:
        raise ValueError(f"there are no captions for {source}; use data={' or data='.join(DESCRIBED)}")
    described = DESCRIBED[source]
    names = [label_names[int(label)] if label >= 0 else "none" for label in labels]
    if unknown := sorted(set(names) - described.keys()):
        raise ValueError(
            f"there are no captions of {source} for the labels {', '.join(unknown)}; "
            f"known labels: {', '.join(described)}"
        )
    rng, captions = np.random.default_rng(seed), []
    for label_name in names:
        parts = (TEMPLATES[source], *described[label_name])
        template, name, look = (part[rng.integers(len(part))] for part in parts)
        captions.append(template.format(name=name, look=look))
    return captions
