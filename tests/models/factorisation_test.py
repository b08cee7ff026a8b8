"""The printed factorisations are the papers'; impossible ones and unknown options are refused where they are written."""

import pytest

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions import conditionals, likelihoods
from tfadgm.models import factorisation
from tfadgm.models.objective import Objective
from tfadgm.networks import mlp

NET = mlp.Network(hidden=(4,))


def _make(name, num_classes=4, **options):
    return registry.model_class(name)(Preprocess([6]), num_classes, **{"network": NET, **options})


PAPERS = [
    # Maaloe et al. 2016, section 2.1
    ("vae", {}, "p(x,z) = p(z) p(x|z)", "q(z|x) = q(z|x)"),
    (
        "vae",
        dict(dim_z=(3, 2)),
        "p(x,z2,z1) = p(z2) p(z1|z2) p(x|z1)",
        "q(z1,z2|x) = q(z1|x) q(z2|z1)",
    ),
    # Sonderby et al. 2016, eq. 1-3 and 11-13
    (
        "lvae",
        dict(dim_z=(4, 3, 2)),
        "p(x,z3,z2,z1) = p(z3) p(z2|z3) p(z1|z2) p(x|z1)",
        "q(z3,z2,z1|x) = q(z3|x) q(z2|z3,x) q(z1|z2,x)",
    ),
    # Maaloe et al. 2016, section 3 of the experiments and eq. 2
    ("avae", {}, "p(x,z,a) = p(z) p(x|z) p(a|z)", "q(a,z|x) = q(a|x) q(z|a,x)"),
    ("avae", dict(a_sees_x=True), "p(x,z,a) = p(z) p(x|z) p(a|x,z)", "q(a,z|x) = q(a|x) q(z|a,x)"),
    # eq. 19 and 20
    (
        "avae",
        dict(dim_z=(3, 2)),
        "p(x,z2,z1,a2,a1) = p(z2) p(z1|z2) p(x|z1) p(a2|z2) p(a1|z1,z2)",
        "q(a1,z1,a2,z2|x) = q(a1|x) q(z1|a1,x) q(a2|a1,x) q(z2|a2,z1)",
    ),
    # eq. 2 again, and two layers in which every a is noise of its own
    ("avae", dict(auxiliary="linear"), "p(x,z,a) = p(z) p(x|z) p(a|x,z)", "q(a,z|x) = q(a) q(z|a,x)"),
    (
        "avae",
        dict(dim_z=(3, 2), auxiliary="linear"),
        "p(x,z2,z1,a2,a1) = p(z2) p(z1|z2) p(x|z1) p(a2|z1,z2) p(a1|x,z1)",
        "q(a1,z1,a2,z2|x) = q(a1) q(z1|a1,x) q(a2) q(z2|a2,z1)",
    ),
    # Kingma et al. 2014, eq. 1 and 3, and section 2.3
    ("m1", {}, "p(x,z) = p(z) p(x|z)", "q(z|x) = q(z|x)"),
    (
        "m1m2",
        {},
        "p(x,y,z2,z1) = p(y) p(z2) p(z1|y,z2) p(x|z1)",
        "q(z1,y,z2|x) = q(z1|x) q(y|z1) q(z2|y,z1)",
    ),
    # Gemp et al. 2017, eq. 1 and 2
    ("untapped", {}, "p(x,y,z) = p(y) p(z) p(x|y,z)", "q(y,z|x) = q(y|x) q(z|x,y)"),
    # Maaloe et al. 2017, eq. 1 and 2
    (
        "cagem",
        {},
        "p(x,z2,y,z1) = p(z2) p(y|z2) p(z1|y,z2) p(x|y,z1)",
        "q(z1,y,z2|x) = q(z1|x) q(y|z1,x) q(z2|x,y,z1)",
    ),
    (
        "cagem",
        dict(skip=False),
        "p(x,z2,y,z1) = p(z2) p(y|z2) p(z1|y,z2) p(x|y,z1)",
        "q(z1,y,z2|x) = q(z1|x) q(y|z1,x) q(z2|y,z1)",
    ),
    # Kingma et al. 2014, eq. 2 and 4
    ("m2", {}, "p(x,y,z) = p(y) p(z) p(x|y,z)", "q(y,z|x) = q(y|x) q(z|x,y)"),
    # Maaloe et al. 2016, section 3 and eq. 7-9
    ("adgm", {}, "p(x,y,z,a) = p(y) p(z) p(a|y,z) p(x|y,z)", "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)"),
    # eq. 3-6 and 24
    (
        "adgm",
        dict(a_sees_x=True),
        "p(x,y,z,a) = p(y) p(z) p(x|y,z) p(a|x,y,z)",
        "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)",
    ),
    # appendix A
    (
        "adgm",
        dict(auxiliary="uninformed"),
        "p(x,y,z,a) = p(y) p(z) p(a) p(x|y,z)",
        "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)",
    ),
    # figure 5: a(x) has no density, so that it is in q alone
    (
        "adgm",
        dict(auxiliary="deterministic"),
        "p(x,y,z) = p(y) p(z) p(x|y,z)",
        "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)",
    ),
    # eq. 25
    ("sdgm", {}, "p(x,y,z,a) = p(y) p(z) p(a|y,z) p(x|a,y,z)", "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)"),
    (
        "sdgm",
        dict(auxiliary="uninformed"),
        "p(x,y,z,a) = p(y) p(z) p(a) p(x|a,y,z)",
        "q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)",
    ),
]


@pytest.mark.parametrize(("name", "options", "p", "q"), PAPERS)
def test_the_formula_is_the_papers(name, options, p, q):
    assert _make(name, **options).formula == f"{p}\n{q}"


def test_every_model_has_its_papers_formula_here():
    assert {name for name, *_ in PAPERS} >= set(registry.MODELS)


# ------------------------------------------------------------------------------------------------ impossible factorisations


def _vae():
    p = dict(z=conditionals.StandardNormal(units=3), x=likelihoods.BernoulliLikelihood("z", 6, NET))
    return p, dict(z=conditionals.Gaussian("x", 3, NET))


def _check(p, q):
    return factorisation.check("Model", p, q, 6, 4)


def _refused(p, q, *messages):
    with pytest.raises(ValueError) as error:
        _check(p, q)
    for message in ("Model: impossible factorisation", *messages, *factorisation.formula(p, q).split("\n")):
        assert message in str(error.value)


def test_a_possible_factorisation_gives_the_sizes_of_its_variables():
    assert _check(*_vae()) == {"x": 6, "z": 3}
    p, q = _vae()
    q["y"] = conditionals.Categorical("z", 4, NET)
    p["y"] = conditionals.UniformCategorical(units=4)
    assert _check(p, q) == {"x": 6, "y": 4, "z": 3}


def test_a_missing_likelihood_is_refused():
    p, q = _vae()
    del p["x"]
    _refused(p, q, "p has no factor for x", "p(x,z) = p(z)", "q(z|x) = q(z|x)")


def test_an_inferred_observation_is_refused():
    p, q = _vae()
    q["x"] = conditionals.Gaussian("z", 6, NET)
    _refused(p, q, "q has a factor for x, which is observed")


def test_a_parent_without_a_factor_is_refused():
    p, q = _vae()
    p["x"] = likelihoods.BernoulliLikelihood("w z", 6, NET)
    _refused(p, q, "p(x|w,z)", "its parent w", "w has no factor")


@pytest.mark.parametrize("side", ["p", "q"])
def test_a_child_before_its_parent_is_refused(side):
    p, q = _vae()
    if side == "p":
        p = dict(reversed(p.items()))
        _refused(p, q, "p(x|z) comes before its parent z", "p(x,z) = p(x|z) p(z)")
    else:
        p["a"] = conditionals.Gaussian("z", 2, NET)
        q = dict(z=conditionals.Gaussian("a x", 3, NET), a=conditionals.Gaussian("x", 2, NET))
        _refused(p, q, "q(z|a,x) comes before its parent a", "q(z,a|x) = q(z|a,x) q(a|x)")


@pytest.mark.parametrize("side", [0, 1])
def test_a_variable_that_is_its_own_parent_is_refused(side):
    factors = _vae()
    factors[side]["z"] = conditionals.Gaussian("x z" if side else "z", 3, NET)
    _refused(*factors, f"{'pq'[side]}(z|.) has itself as a parent")


def test_a_latent_of_p_alone_or_of_q_alone_is_refused():
    p, q = _vae()
    p["a"] = conditionals.Gaussian("z", 2, NET)
    _refused(p, q, "a is in p but not in q")
    p, q = _vae()
    q["a"] = conditionals.Gaussian("x", 2, NET)
    _refused(p, q, "a is in q but not in p")


def test_a_deterministic_variable_has_no_place_in_p():
    p, q = _vae()
    q["a"] = conditionals.Deterministic("x", 2, NET)
    assert _check(p, q) == {"x": 6, "z": 3, "a": 2}
    p["a"] = conditionals.Gaussian("z", 2, NET)
    _refused(p, q, "a is deterministic in q, hence has no density, but has one in p")


@pytest.mark.parametrize("name", ["x", "z"])
def test_sizes_that_disagree_are_refused(name):
    p, q = _vae()
    if name == "x":
        p["x"] = likelihoods.BernoulliLikelihood("z", 7, NET)
        _refused(p, q, "x has 7 units in p, expected 6")
    else:
        q["z"] = conditionals.Gaussian("x", 2, NET)
        _refused(p, q, "z has 3 units in p, expected 2")


def test_all_mistakes_are_named_at_once():
    p, q = _vae()
    p["a"], q["b"] = conditionals.Gaussian("z", 2, NET), conditionals.Gaussian("x", 2, NET)
    _refused(p, q, "a is in p but not in q", "b is in q but not in p")


@pytest.mark.parametrize("options", [dict(auxiliary="deterministic"), dict(a_sees_x=True)])
def test_in_the_sdgm_a_generates_x_so_that_it_needs_a_density_before_x(options):
    with pytest.raises(ValueError) as error:
        _make("sdgm", **options)
    for message in ("SDGM: impossible factorisation", "p(x|a,y,z) comes before its parent a", "p(x,", "q(a,y,z|x) = q(a|x)"):
        assert message in str(error.value)


def test_ancestors_are_parents_and_their_parents():
    p = _make("sdgm").p
    assert factorisation.ancestors(p, "x") == {"a", "y", "z"}
    assert factorisation.ancestors(p, "a") == {"y", "z"}
    assert factorisation.ancestors(p, "z") == set()


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "options", "messages"),
    [
        ("adgm", dict(auxiliary="learned"), ["auxiliary", "'learned'", "informed, uninformed, deterministic"]),
        ("adgm", dict(aux_gradient="none"), ["aux_gradient", "'none'", "joint, bound, frozen"]),
        ("adgm", dict(a_sees_x=True, auxiliary="uninformed"), ["a_sees_x", "'uninformed'", "informed"]),
        ("avae", dict(auxiliary="uninformed"), ["auxiliary", "'uninformed'", "informed, linear"]),
        ("avae", dict(a_sees_x=True, auxiliary="linear"), ["a_sees_x", "true", "'linear'", "allowed: false"]),
        ("adgm", dict(likelihood="poisson"), ["likelihood", "'poisson'", "bernoulli, gaussian"]),
        ("m2", dict(objective=Objective(exact_classes=3)), ["exact_classes", "3", "of 4 classes", "none, or 1 to 2"]),
        ("m2", dict(objective=Objective(exact_classes=0)), ["exact_classes", "0", "of 4 classes", "none, or 1 to 2"]),
    ],
)
def test_a_bad_option_names_what_was_got_and_what_is_allowed(name, options, messages):
    with pytest.raises(ValueError) as error:
        _make(name, **options)
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (dict(samples=0), ["samples", "0", "at least 1"]),
        (dict(samples=3, classifier_samples=2), ["classifier_samples", "2", "at least samples = 3"]),
        (dict(num_unlabelled=-1), ["num_unlabelled", "-1", "at least 0"]),
        (dict(beta=-0.1), ["beta", "-0.1", "at least 0"]),
        (dict(beta=float("nan")), ["beta", "nan", "at least 0"]),
        (dict(labelled_weight=-1.0), ["labelled_weight", "-1.0", "at least 0"]),
        (dict(num_labelled=-1), ["num_labelled", "-1", "at least 0"]),
        (dict(warmup_steps=-1), ["warmup_steps", "-1", "at least 0"]),
    ],
)
def test_a_bad_objective_names_what_was_got_and_what_is_allowed(options, messages):
    with pytest.raises(ValueError) as error:
        Objective(**options)
    for message in messages:
        assert message in str(error.value)


def test_unknown_models_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown model: got 'gan'; allowed: vae, m1, m2, m1m2, adgm, sdgm"):
        registry.model_class("gan")


def test_alpha_is_beta_times_all_examples_per_labelled_one():
    assert Objective(beta=0.1, num_labelled=100, num_unlabelled=59_900).alpha == pytest.approx(60.0)  # eq. 12
