"""The rules in float64 NumPy, one weight at a time: what the optimizers are compared with."""

import numpy as np


def adam(b1=0.9, b2=0.999, eps=1e-6):
    """A rule is a function (state, w, g, t) -> update, with t counted from 1, lr left out."""

    def rule(state, w, g, t):
        state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
        state["v"] = b2 * state.get("v", 0) + (1 - b2) * g**2
        return state["m"] / (1 - b1**t) / (np.sqrt(state["v"] / (1 - b2**t)) + eps)

    return rule


def lion(b1=0.95, b2=0.98):
    def rule(state, w, g, t):
        m = state.get("m", 0)
        state["m"] = b2 * m + (1 - b2) * g
        return np.sign(b1 * m + (1 - b1) * g)

    return rule


def piecewise(t, schedule):
    points = sorted((int(k), v) for k, v in schedule.items())
    if points[0][0] > 0:
        points.insert(0, (0, 0))
    return np.interp(t, *zip(*points))


def run(rule, lr, w, gradients, wd=0, adapt=False, schedule=None, k=1, lookahead=None, ema=None):
    """(weights after each gradient, averages after each) of one weight."""
    w, state, t = np.array(w, "float64"), {}, 0
    slow, average, sums, path, averages = w.copy(), 0 * w, 0 * w, [], []
    for number, g in enumerate(np.asarray(gradients, "float64"), 1):
        sums = sums + g
        if number % k == 0:
            t += 1
            rate = lr * (piecewise(t - 1, schedule) if schedule else 1)
            update = rule(state, w, sums / k, t) + wd * w
            sizes = np.linalg.norm(w), np.linalg.norm(update)
            if adapt and all(sizes) and rate:
                update = update * sizes[0] / sizes[1]
            w, sums = w - rate * update, 0 * w
            if lookahead and t % lookahead[0] == 0:
                w = slow = slow + lookahead[1] * (w - slow)
            if ema is not None:
                average = ema * average + (1 - ema) * w
        path.append(w)
        averages.append(average)
    return np.array(path), np.array(averages)
