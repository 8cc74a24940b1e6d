"""Rules of values: those of the table, and those that constructors state."""

import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import hydra
import pytest
from hydra.utils import get_class, get_object
from omegaconf import OmegaConf

from topiclab.config import rules
from topiclab.config.compose import ConfigError, compose, compose_unchecked, conf_dir
from topiclab.config.declared import DECLARATIONS
from topiclab.config.instantiate import NOT_OPTIONS
from topiclab.config.rules import RULES, entry_of, flatten, rule_of_type, ruled, rules_of_class
from topiclab.config.signatures import inner_class, kinds_of

OPTIONS = sorted(
    path for path in conf_dir().rglob("[!_]*.yaml") if "hydra" not in path.relative_to(conf_dir()).parts
)
MODELS = sorted(path.stem for path in (conf_dir() / "model").glob("[!_]*.yaml"))
# what the fit gives a model besides its yaml
GIVEN = {"num_topics", "num_words", "embedding_dim", "num_classes", "objective", "seed", "class_weight"}
GIVEN_OF_IMAGES = {"grid_shape"}
# of every group that names a class
NAMING = {"name", "modality", "_target_", "_partial_", "_convert_"}


@cache
def option(path: Path):
    """A configuration with this option chosen, values may be missing."""
    group, *names = path.relative_to(conf_dir()).with_suffix("").parts
    if group in ("config", "data", "task") or len(names) > 1:  # it reaches into other groups
        return OmegaConf.to_container(compose_unchecked([f"{group}={'/'.join(names)}"] if names else []))
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose(f"{group}/{names[0]}"))


def targets(node):
    """Dotted names of the classes in a configuration."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str) and inspect.isclass(get_object(node["_target_"])):
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


def name_of(path):
    return str(path.relative_to(conf_dir()))


@pytest.mark.parametrize("path", OPTIONS, ids=name_of)
def test_every_value_has_a_rule_and_keeps_it(path):
    for key, value, rule in ruled(option(path)):
        assert rule is not None, f"{key}: neither its class nor topiclab/config/rules.py has a rule"
        is_open = isinstance(value, str) and (value == "???" or value.startswith("${"))
        assert is_open or rule.accepts(value), f"{key}={value}: {rule.says}"


def test_the_table_holds_what_is_used_and_no_class_takes(monkeypatch):
    used = set()
    monkeypatch.setattr(rules, "entry_of", lambda key: used.add(entry_of(key)) or entry_of(key))
    for path in OPTIONS:
        assert list(ruled(option(path)))
    assert RULES.keys() - used == set()


@pytest.mark.parametrize("path", [path for path in OPTIONS if "model" in path.parts], ids=name_of)
def test_the_keys_of_a_model_are_ruled_by_its_class(path):
    model = option(path)["model"]
    own = rules_of_class(model["_target_"])
    keys = {key for key, _ in flatten(model) if key.partition(".")[0] not in DECLARATIONS}
    assert keys - NAMING - own.keys() == set()


def test_classes_are_read_as_they_are_written():
    """The types that are read from the source are those of the constructors that Python finds."""
    found = {target for path in OPTIONS for target in targets(option(path))}
    assert {"topiclab.models.theta.THETA", "topiclab.minillm.network.MiniLLM"} <= found
    for target in found:
        check_kinds(kinds_of(target), get_class(target))


def check_kinds(kinds, cls, prefix=""):
    hints = hints_of(cls)
    names = {key.removeprefix(prefix) for key in kinds if key.startswith(prefix)}
    assert {name for name in names if "." not in name} == hints.keys()
    for name, hint in hints.items():
        kind = kinds[f"{prefix}{name}"]
        if (inner := inner_class(kind)) is not None:
            passed_to = get_args(hint)[1] if get_origin(hint) is Annotated else hint
            assert (inner.module, inner.name) == (passed_to.__module__, passed_to.__qualname__)
            check_kinds(kinds, passed_to, f"{prefix}{name}.")
        else:
            assert repr(kind) == repr(hint) or (kind is Any and rule_of_type(hint) is None), name


def hints_of(cls):
    """Parameter or field -> its type, where it stands."""
    if cls.__init__ is object.__init__ or issubclass(cls, dict):
        return get_type_hints(cls, include_extras=True)
    owners = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base):
            owners |= dict.fromkeys(inspect.signature(base.__init__).parameters, base.__init__)
    hints = {name: get_type_hints(init, include_extras=True).get(name, Any) for name, init in owners.items()}
    return {name: hints[name] for name in constructor_parameters(cls)}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["model.encoder.dropout=2"],
            "model.encoder.dropout=2 is refused: give a number from 0 on and below 1",
        ),
        (["model.prior_variance=0"], "model.prior_variance=0 is refused: give a number above 0, or null"),
        (
            ["model.init=kmean"],
            "model.init=kmean is refused: give kmeans or neighbourhoods or soft_labels or random",
        ),
        (["model.encoder=3"], "model.encoder=3 is refused: give a mapping"),
        (
            ["model.encoder.reads=codes"],
            "model.encoder.reads=codes is refused: give embeddings or bow or both",
        ),
        (["model=fastopic", "model.sinkhorn.iterations=0"], "model.sinkhorn.iterations=0 is refused"),
        (["model=tvqvae", "model.codebook.warmup=1"], "model.codebook.warmup=1 is refused"),
        (["embedder.dim=0"], "embedder.dim=0 is refused: give a whole number from 1 on"),
        (["teacher=corpus", "teacher.space=x"], "teacher.space=x is refused: give ppmi or lsa"),
        (["objective.weight=-1"], "objective.weight=-1 is refused: give a number above 0"),
        (["task=tvq_crossmodal", "captions.model.num_codes=0"], "captions.model.num_codes=0 is refused"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_value_is_refused_by_the_class_that_takes_it(overrides, told):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    assert any(fault.startswith(told) for fault in caught.value.faults)


def test_rules_of_a_class_import_nothing_heavy():
    code = (
        "import sys; from topiclab.config.rules import rules_of_class;"
        "assert 'encoder.dropout' in rules_of_class('topiclab.models.theta.THETA');"
        "print({'torch', 'lightning', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "target", ["nowhere.Model", "topiclab.models.theta.Nothing", "Model", "topiclab.tasks.fit.fit"]
)
def test_what_is_no_class_has_no_rules(target):
    assert rules_of_class(target) == {}


@pytest.mark.parametrize("model", MODELS)
def test_model_yaml_binds_to_its_constructor(model):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        given = OmegaConf.to_container(hydra.compose(f"model/{model}").model)
    special = set(NOT_OPTIONS)
    assert given["_partial_"] is True
    assert given["_convert_"] == "all"
    parameters = constructor_parameters(get_class(given["_target_"]))
    assert given.keys() - special - parameters.keys() == set()
    required = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    images = GIVEN_OF_IMAGES if given.get("modality") == "images" else set()
    assert required - given.keys() - GIVEN == images


def constructor_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Named parameters of __init__, followed through **keywords into the bases."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        named = [
            p for p in parameters if p.name != "self" and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        found = {p.name: p for p in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: parameter for name, parameter in found.items() if name != "self"}
