"""Never worse than the labels alone: q(y|x) is a pool of the model and of what its labels alone give, by cross-fitting.

The bound is not always on the side of the classes. Three members (`models.answer`) stand for weights of the bound from 0 to
1: logistic regression on x, the same network on the labelled examples alone, and the model. Each classifies the labelled
examples by trainings that have not seen them (`cross_fit.folds`), and from these answers come

- the penalty of the logistic regression, that of the lowest cross-fitted NLL;
- a temperature t_m per member (`svm.fit_temperature`);
- the weights, w = argmax sum_n log sum_m w_m p_m(y_n|x_n) + PRIOR / M sum_m log w_m: those of stacking, which maximise the
  cross-fitted log score of the pool (Yao et al. 2018, "Using stacking to average Bayesian predictive distributions"), with
  a Dirichlet prior. Twenty labels cannot say which of two members is better; the prior then shares the weight.

Then logistic regression and network are fitted to all labelled examples, and the model, as it was trained, answers by the pool.
(Logistic regression on the latents is no member: z is what the class does not explain, and says nothing of it.)
"""

import dataclasses
import time
from typing import Any

import numpy as np
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from tfadgm import evaluation
from tfadgm.data import pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models import svm
from tfadgm.models.answer import MEMBERS
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.runs import build, cross_fit
from tfadgm.runs.settings import Settings
from tfadgm.training import baseline, callbacks, fit

FOLDS = 4
STEPS = 6000  # of the fold models together, at most: of a long training fewer folds than FOLDS are trained, one at least
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of the logistic regression
NETWORK_STEPS, NETWORK_RATE = 600, 3e-3
PRIOR = 20.0  # as many examples' worth, for equal weights
MOST = 2000  # labelled examples that members are compared on, and that the logistic regression is fitted to


def select(
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    model: DeepGenerativeModel,
    state: callbacks.State,
    start: DeepGenerativeModel | None = None,
) -> dict[str, Any]:
    """Weighs the model against what its labels alone give; from then on the pool answers q(y|x) (`Questions.log_answer`).

    Args:
      settings: of the run, with sizes in place of "auto" (`build.sized`).
      data, split: of the run.
      model: the trained model, as `build.train` returned it; its weights are the same afterwards.
      state: what training ended with: the fold models are trained for as many epochs as its weights were.
      start: the trained model of the first stage, for a model that has one.

    Returns:
      {"selection": {members: {name: {weight, temperature, nll, nll_stderr, error}}, nll, nll_stderr, error, examples, folds,
      seconds, chosen}}: cross-fitted numbers of each member (calibrated) and of the pool; `chosen` says it in words. {} where
      a class has fewer than two labels, so that nothing can be left out: the model then answers alone.
    """
    raise NotImplementedError
