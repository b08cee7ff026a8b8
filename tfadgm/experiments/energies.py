"""The 2-D energies: the auxiliary model beside a mean-field Gaussian, their bounds and their densities in one figure.

Maaloe et al. 2016, section 4.1 and figure 2a-b; see `models/potential.py`.
"""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from tfadgm.experiments import energy_training
from tfadgm.models import potential
from tfadgm.reporting import plotting

VIEWS = {"U1": (-4, 4, -4, 4), "U2": (-5, 5, -3, 3), "U3": (-5, 5, -4, 3), "U4": (-5, 5, -5, 3)}  # of z1, of z2


def experiment(name, settings, seed, xla=False):
    """Fits the auxiliary model and the mean-field control; returns (results, [auxiliary model, control]).

    The control is fitted twice, from a warm and from a cold start, in a quarter of the steps each, and the better of the
    two is kept: the warm one may end between modes.
    """
    warm = dataclasses.replace(settings, steps=max(1, settings.steps // 4))
    cold, models, results = dataclasses.replace(warm, temperature=1.0), [], []
    for auxiliary, training in ((True, settings), (False, warm), (False, cold)):
        start, cpu = time.perf_counter(), time.process_time()
        models.append(potential.Potential(potential.energy(name), auxiliary, seed=seed))
        energy_training.fit(models[-1], training, seed, xla)
        seconds = dict(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu)
        results.append({**energy_training.evaluate(models[-1], settings, seed), **seconds})
    best = max((1, 2), key=lambda i: results[i]["bound"])
    combined = dict(
        energy=name,
        seed=seed,
        log_normaliser=potential.log_normaliser(name),
        log_normaliser_without_wall=potential.log_normaliser(name, wall=False),
        **results[0],
        **{f"mean_field_{key}": value for key, value in results[best].items()},
        **dataclasses.asdict(settings),
        xla=xla,
    )
    return combined, [models[0], models[best]]


def summary(results):
    """Returns the results as one line, in nats."""
    bound, weighted, control = (
        f"{results[name]:.4f} +- {results[f'{name}_stderr']:.4f}"
        for name in ("bound", "importance_bound", "mean_field_bound")
    )
    return (
        f"{results['energy']} seed {results['seed']}: bound {bound}, of {results['importance_samples']} samples {weighted}, "
        f"mean field {control}, log Z {results['log_normaliser']:.4f} nats; {results['seconds']:.0f} s"
    )


def draw(name, model, control, results, path):
    """Draws the densities of p(z), of the auxiliary q(z) and of the mean-field q(z) side by side, in one scale of colours.

    The outline in every panel is that of p(z), at a tenth of its maximum; dotted lines are where walls begin.
    """
    left, right, low, high = VIEWS[name]
    z1, z2, seed = np.linspace(left, right, 301), np.linspace(low, high, 301), tf.constant([results["seed"], 1])
    true = np.exp(-potential.energy(name)(tf.constant(potential.grid(z1, z2))).numpy() - results["log_normaliser"])
    panels = {
        f"Target, $e^{{-U_{name[1]}(z)}} / Z$\nlog Z = {results['log_normaliser']:.3f}": true,
        f"Auxiliary model, $\\int q(a)\\,q(z|a)\\,da$\nbound {results['bound']:.3f}": model.density(z1, z2, seed),
        f"Mean field, Gaussian $q(z)$\nbound {results['mean_field_bound']:.3f}": control.density(z1, z2, seed),
    }
    labels = dict(xlabel="$z_1$", xticks=range(-4, 5, 2), yticks=[tick for tick in range(-4, 5, 2) if low <= tick <= high])
    options = dict(xlim=(left, right), ylim=(low, high), aspect="equal", **labels)
    with plotting.canvas(path, 8.2, 0.95 + 1.95 * (high - low) / (right - left), (1, 3), **options) as axes:
        for ax, (title, density) in zip(axes, panels.items(), strict=True):
            ax.set_title(title)
            image = ax.imshow(density.T, "Blues", origin="lower", extent=VIEWS[name], vmin=0, vmax=true.max())
            ax.contour(z1, z2, true.T, [0.1 * true.max()], colors=plotting.STRONG, linewidths=0.6)
            for wall in () if name == "U1" else (-potential.WALL, potential.WALL):
                ax.axvline(wall, color=plotting.STRONG, lw=0.6, ls=":")
        axes[0].set_ylabel("$z_2$")
        beside = axes[2].inset_axes([1.06, 0, 0.05, 1])
        axes[0].figure.colorbar(image, cax=beside, label="density", extend="max")
