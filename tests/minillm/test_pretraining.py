"""Training the mini-LLM: schedules, two optimizers as one, losses exact to the token, exact resumption."""

import math

import lightning as L
import pytest
import torch
from made_settings import trainer
from nano_minillm import NANO, made, some_ids

from topiclab.minillm.network import IGNORED, MiniLLM
from topiclab.minillm.optimizer import make_optimizer
from topiclab.minillm.pretraining import Pretraining, held_out, train_rounds
from topiclab.minillm.schedule import share_of_peak

OPTIMIZER = {
    "name": "adamw",
    "lr": 1e-3,
    "embedding_lr": 3e-3,
    "matrix_lr": 2e-3,
    "betas": [0.9, 0.95],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "momentum": 0.95,
}
SCHEDULE = {"kind": "wsd", "warmup": 0.1, "decay": 0.5, "floor": 0.05}
TRAINER = trainer(checkpoint_seconds=0)
TOKEN_BYTES = torch.full((NANO.vocab_size,), 4)


class Steps(L.LightningDataModule):
    """Step n always has the same rows; two steps per round."""

    def __init__(self, num_steps, rows=4, spoiled=None):
        super().__init__()
        self.num_steps, self.rows, self.spoiled = num_steps, rows, spoiled

    def batch(self, number):
        ids = some_ids(self.rows, 17, seed=number)
        labels = ids[:, 1:].clone()
        labels[0, : number % 7] = IGNORED
        labels[1, 3:] = IGNORED
        return {"ids": ids[:, :-1], "labels": labels}

    def train_dataloader(self):
        start = 2 * self.trainer.current_epoch
        return Batches([self.batch(number) for number in range(start, min(start + 2, self.num_steps))])

    def val_dataloader(self):
        return Batches([self.batch(1000)])


class Batches:
    """A wrapped list: Lightning would take a plain one for several loaders."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def trained(
    folder, num_rounds, *, num_steps=8, micro_rows=4, steps=None, dropout=0.1, tells_few=False, **options
):
    torch.manual_seed(0)
    module = Pretraining(
        MiniLLM(NANO, dropout=dropout),
        num_steps=num_steps,
        micro_rows=micro_rows,
        optimizer=OPTIMIZER | options,
        schedule=SCHEDULE,
        gradient_clip=1.0,
        token_bytes=TOKEN_BYTES,
        seed=0,
        tells_few=tells_few,
    )
    train_rounds(
        module, steps or Steps(num_steps), folder, TRAINER, num_rounds=num_rounds, inputs="these rows"
    )
    return module


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.model.parameters()])


def test_shares_of_the_peak():
    def wsd(step):
        return share_of_peak(step, 100, kind="wsd", warmup=0.1, decay=0.5, floor=0.05)

    assert [wsd(0), wsd(9), wsd(10), wsd(49)] == [0.1, 1, 1, 1]
    assert wsd(50) == pytest.approx(0.05 + 0.95 * 50 / 51)
    assert wsd(99) == pytest.approx(0.05 + 0.95 / 51)
    falls = [wsd(step) - wsd(step + 1) for step in range(50, 99)]
    assert max(falls) == pytest.approx(min(falls))

    def cosine(step):
        return share_of_peak(step, 110, kind="cosine", warmup=10 / 110, decay=0.5, floor=0.1)

    assert [cosine(9), cosine(10)] == [1, 1]
    assert cosine(60) == pytest.approx(0.55)
    assert cosine(109) == pytest.approx(0.1, abs=1e-3)
    assert share_of_peak(99, 100, kind="constant", warmup=0, decay=0.5, floor=0.1) == 1


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_matrices_decay_and_norms_do_not(name):
    model = made()
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    optimizer = make_optimizer(model, OPTIMIZER | {"name": name, "weight_decay": 0.5})
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    lr = 2e-3 if name == "muon" else 1e-3
    for key, weight in model.named_parameters():
        kept = 1 - lr * 0.5 if weight.ndim == 2 and "embed_tokens" not in key else 1.0
        torch.testing.assert_close(weight.detach(), before[key] * kept)


def test_two_optimizers_are_one():
    first, second = made(), made()
    pair = make_optimizer(first, OPTIMIZER | {"name": "muon"})
    matrices = [w for n, w in second.named_parameters() if w.ndim == 2 and "embed_tokens" not in n]
    muon = torch.optim.Muon(matrices, lr=2e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    vectors = [w for w in second.parameters() if w.ndim == 1]
    groups = [{"params": [second.embed_tokens.weight], "lr": 3e-3}, {"params": vectors, "lr": 1e-3}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    for step in range(3):
        ids = some_ids(2, 17, seed=step)
        for model, optimizers in ((first, [pair]), (second, [muon, adamw])):
            model.zero_grad()
            model.nll(model(ids[:, :-1]), ids[:, 1:]).mean().backward()
            for optimizer in optimizers:
                optimizer.step()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_the_loss_is_of_tokens_however_a_step_is_cut(tmp_path):
    whole = trained(tmp_path / "whole", 2, dropout=0.0)
    cut = trained(tmp_path / "cut", 2, dropout=0.0, micro_rows=1)
    few = trained(tmp_path / "few", 2, dropout=0.0, tells_few=True)
    for entry, *others in zip(whole.history, cut.history, few.history, strict=True):
        for other in others:
            assert entry["train/ce"] == pytest.approx(other["train/ce"], abs=1e-6)
            assert entry["val/ce"] == pytest.approx(other["val/ce"], abs=1e-4)
            assert entry["tokens"] == other["tokens"]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_resumed_training_is_the_one_that_was_not_stopped(name, tmp_path):
    straight = trained(tmp_path / "straight", 4, name=name)
    trained(tmp_path, 2, name=name)
    resumed = trained(tmp_path, 4, name=name)
    torch.testing.assert_close(weights(resumed), weights(straight), atol=0, rtol=0)
    assert (resumed.steps_done, resumed.tokens_done) == (straight.steps_done, straight.tokens_done)
    told = [[entry["step"], entry["val/ce"], entry["train/ce"]] for entry in straight.history]
    assert [[entry["step"], entry["val/ce"], entry["train/ce"]] for entry in resumed.history] == told


def test_held_out_text_of_a_guess():
    module = Pretraining(
        made(),
        num_steps=1,
        micro_rows=1,
        optimizer=OPTIMIZER,
        schedule=SCHEDULE,
        gradient_clip=1.0,
        token_bytes=TOKEN_BYTES,
        seed=0,
    )
    with torch.no_grad():
        module.model.embed_tokens.weight.zero_()  # all logits equal
        module.on_validation_epoch_start()
        module.validation_step(Steps(1).batch(5), 0)
    scores = held_out(**{name: float(value) for name, value in module._sums.items()})
    assert scores["val/ce"] == pytest.approx(math.log(NANO.vocab_size))
    assert scores["val/perplexity"] == pytest.approx(NANO.vocab_size)
    assert scores["val/bits_per_byte"] == pytest.approx(math.log2(NANO.vocab_size) / 4)


class Spoiling(Steps):
    """Spoils the weights before the training or the measurement of round 1."""

    def __init__(self, num_steps, when):
        super().__init__(num_steps)
        self.when = when

    def train_dataloader(self):
        self.spoil("training")
        return super().train_dataloader()

    def val_dataloader(self):
        self.spoil("measurement")
        return super().val_dataloader()

    def spoil(self, now):
        if now == self.when and self.trainer.current_epoch == 1:
            with torch.no_grad():
                self.trainer.lightning_module.model.norm.weight.fill_(math.inf)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("training", "the loss of step 3 is nan nats per token, .*best.ckpt of step 2 is kept: lower the"),
        ("measurement", "held-out text costs nan nats per token after step 4; .*best.ckpt of step 2 is kept"),
    ],
)
def test_a_loss_that_is_no_number_stops_before_a_checkpoint(when, told, tmp_path):
    with pytest.raises(FloatingPointError, match=told):
        trained(tmp_path, 4, steps=Spoiling(8, when))
    for name in ("best", "last"):
        kept = torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert kept["progress"]["steps"] == 2
        assert all(weight.isfinite().all() for weight in kept["state_dict"].values())


def test_held_out_text_that_costs_more_than_any_number_is_told():
    assert held_out(1000.0, 1.0, 1.0)["val/perplexity"] == math.inf


def test_rows_without_replies_teach_nothing_and_stop_nothing(tmp_path):
    class Silent(Steps):
        def batch(self, number):
            made = super().batch(number)
            if number not in self.told:
                made["labels"].fill_(IGNORED)
            return made

    steps = Silent(4)
    steps.told = {0, 1, 1000}
    module = trained(tmp_path / "some", 2, num_steps=4, steps=steps, tells_few=True)
    assert weights(module).isfinite().all()
    assert module.tokens_done == sum(int((steps.batch(n)["labels"] != IGNORED).sum()) for n in (0, 1))
    steps.told = {0, 1}
    with pytest.raises(ValueError, match=r"held-out rows have no token .*raise finetune\.length"):
        trained(tmp_path / "none", 2, num_steps=4, steps=steps)


@pytest.mark.parametrize("name", ["best", "last"])
def test_half_a_checkpoint_is_told_and_begun_anew(name, tmp_path, caplog):
    straight = trained(tmp_path, 2)
    path = tmp_path / "checkpoints" / f"{name}.ckpt"
    path.write_bytes(path.read_bytes()[:-2000])
    again = trained(tmp_path, 2)
    told = {"best": "are dropped, because best.ckpt is damaged", "last": "resuming from the older best.ckpt"}
    assert told[name] in caplog.text
    torch.testing.assert_close(weights(again), weights(straight), atol=0, rtol=0)
