"""Wrong lines that the tests must notice: `python tests/support/mutants.py [NAME ...]` tries each in a copy.

Every mutant is one line made wrong as a typing slip would. Its tests pass on the unchanged tree and must all
fail with the mutant. Exits with 1 if a mutant survives, or if its file does not have the line exactly once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from places import REPO

COPIED = ("topiclab", "conf", "tests", "pyproject.toml")
VAE, HELD_OUT = "tests/models/base/test_vae.py", "tests/models/test_held_out.py"
NOISE = f"{HELD_OUT}::test_noise_for_held_out_documents_changes_nothing_that_was_learnt"


@dataclass(frozen=True)
class Mutant:
    """One wrong line; before and after without their indentation, tests as pytest names them."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Make the line wrong in the tree at root; ValueError unless its file holds it exactly once."""
        path = root / self.file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [place for place, line in enumerate(lines) if line.strip() == self.before]
        if len(places) != 1:
            raise ValueError(
                f"{self.name}: {self.file} holds the line {len(places)} times instead of once; bring the "
                f"table in tests/support/mutants.py up to date:\n{self.before}"
            )
        lines[places[0]] = lines[places[0]].replace(self.before, self.after)
        path.write_text("".join(lines), encoding="utf-8")


MUTANTS = (
    Mutant(
        "prior_variance",
        "topiclab/models/base/vae.py",
        "self.prior_variance = prior_variance or 1 - 1 / self.num_topics",
        "self.prior_variance = prior_variance or 1 + 1 / self.num_topics",
        (f"{VAE}::test_a_step_of_prodlda_is_the_published_one",),
    ),
    Mutant(
        "deviation_of_the_sample",
        "topiclab/models/base/vae.py",
        "z = mu + (0.5 * logvar).exp() * torch.randn_like(mu) if self.training else mu",
        "z = mu + logvar.exp() * torch.randn_like(mu) if self.training else mu",
        (
            f"{VAE}::test_a_step_of_prodlda_is_the_published_one",
            f"{VAE}::test_a_step_of_theta_is_the_published_one",
        ),
    ),
    Mutant(
        "deviation_of_many_draws",
        "topiclab/models/base/vae.py",
        "draws = mu + (0.5 * logvar).exp() * torch.randn(self.theta_samples, *mu.shape, device=mu.device)",
        "draws = mu + logvar.exp() * torch.randn(self.theta_samples, *mu.shape, device=mu.device)",
        (f"{VAE}::test_proportions_of_many_draws_are_the_mean_over_the_posterior",),
    ),
    Mutant(
        "validation_of_training_documents",
        "topiclab/models/base/trained_module.py",
        "for batch in self.batches(self._val_rows, EVAL_BATCH):",
        "for batch in self.batches(self._train_rows, EVAL_BATCH):",
        (f"{HELD_OUT}::test_validation_measures_the_validation_documents",),
    ),
    Mutant(
        "temperature_of_kept_words",
        "topiclab/data/targets.py",
        "probs = _softmax(logits.astype(np.float32) / temperature)",
        "probs = _softmax(logits.astype(np.float32))",
        ("tests/data/test_targets.py::test_kept_words_share_the_tempered_softmax",),
    ),
    Mutant(
        "standardisation_of_all_documents",
        "topiclab/models/base/vae.py",
        "encoder.standardize.fit(torch.from_numpy(np.array(datamodule.train_embeddings)))",
        "encoder.standardize.fit(torch.from_numpy(np.array(datamodule.embeddings)))",
        (f"{NOISE}[theta]",),
    ),
    Mutant(
        "start_without_seed_in_its_key",
        "topiclab/models/base/vae.py",
        '"clusters": [self.init, self.init_neighbours, self.seed],',
        '"clusters": [self.init, self.init_neighbours],',
        (f"{VAE}::test_seeds_that_share_a_cache_have_starts_of_their_own",),
    ),
    Mutant(
        "retrieval_from_all_documents",
        "topiclab/metrics/documents.py",
        'candidates = self.corpus.rows("train")',
        "candidates = np.arange(self.corpus.num_docs)",
        (f"{HELD_OUT}::test_retrieval_asks_training_documents_alone",),
    ),
    Mutant(
        "free_bits_from_above",
        "topiclab/models/base/vae.py",
        'losses["kl"] = kl.clamp(min=self.free_bits) if self.free_bits else kl',
        'losses["kl"] = kl.clamp(max=self.free_bits) if self.free_bits else kl',
        (f"{VAE}::test_free_bits_are_the_least_that_a_document_pays",),
    ),
    Mutant(
        "clusters_weigh_documents_by_length",
        "topiclab/models/base/warmstart.py",
        "lengths = np.maximum(np.asarray(bow.sum(axis=1)).ravel(), 1)",
        "lengths = np.ones(bow.get_shape()[0])",
        (f"{VAE}::test_clusters_speak_as_their_documents_do_however_long",),
    ),
    Mutant(
        "read_out_of_all_documents",
        "topiclab/models/base/topic_model.py",
        "scores = self.rank_words(theta[rows], beta, datamodule.train_bow)",
        "scores = self.rank_words(theta, beta, datamodule.corpus.bow)",
        (f"{NOISE}[prodlda]",),
    ),
    Mutant(
        "soft_labels_without_hellinger",
        "topiclab/models/base/warmstart.py",
        "roots = np.sqrt(words.astype(np.float32))  # rows of length 1",
        "roots = words.astype(np.float32)",
        (f"{VAE}::test_documents_start_by_the_hellinger_distance_of_their_soft_labels",),
    ),
    Mutant(
        "epochs_without_seed",
        "topiclab/models/base/trained_module.py",
        "torch.manual_seed(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0].item())",
        "torch.manual_seed(np.random.SeedSequence([epoch]).generate_state(1)[0].item())",
        (f"{VAE}::test_the_seed_reaches_the_epochs",),
    ),
)


def copy_tree(root: Path) -> None:
    """Copy the files that the tests need into the empty folder root."""
    for name in COPIED:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPO / name, root / name)


def failed(root: Path, tests: tuple[str, ...]) -> list[str]:
    """Tests that fail in the tree at root; RuntimeError where pytest cannot run them."""
    command = [sys.executable, "-m", "pytest", "-rf", "--tb=no", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(root)}
    finished = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run {', '.join(tests)}:\n{finished.stdout}{finished.stderr}")
    lines = finished.stdout.splitlines()
    return [line.split("::", 1)[1].split(" - ")[0] for line in lines if line.startswith("FAILED ")]


def main() -> None:
    names = sys.argv[1:] or [mutant.name for mutant in MUTANTS]
    if unknown := sorted(set(names) - {mutant.name for mutant in MUTANTS}):
        sys.exit(f"no mutant is called {', '.join(unknown)}; there are {', '.join(m.name for m in MUTANTS)}")
    chosen = [mutant for mutant in MUTANTS if mutant.name in names]
    with TemporaryDirectory() as folder:
        copy_tree(Path(folder))
        tests = tuple(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
        if broken := failed(Path(folder), tests):
            sys.exit(f"these fail without any mutant: {', '.join(broken)}")
    survivors = 0
    for mutant in chosen:
        started = time.perf_counter()
        with TemporaryDirectory() as folder:
            copy_tree(Path(folder))
            mutant.apply(Path(folder))
            found = failed(Path(folder), mutant.tests)
        named = [test.split("::")[1] for test in mutant.tests]
        missed = [test for test in named if not any(case.startswith(test) for case in found)]
        survivors += bool(missed)
        verdict = f"SURVIVED {', '.join(missed)}" if missed else f"killed by {', '.join(named)}"
        print(f"{mutant.name:36} {verdict} ({time.perf_counter() - started:.0f} s)", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survived")
    sys.exit(survivors > 0)


if __name__ == "__main__":
    main()
