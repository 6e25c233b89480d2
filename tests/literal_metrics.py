"""Every metric as its definition reads, one threshold, draw and pixel after the other.

The tests hold the vectorised metrics against these. `python tests/literal_metrics.py` prints
how many times faster the vectorised ones are.
"""

import functools
import math
import statistics
import time

import numpy as np

from uva_tf.evaluation import metrics

EPS = 2.0**-52


def nss(prediction, fixated):
    mean = sum(prediction.flat) / prediction.size
    variance = sum((value - mean) ** 2 for value in prediction.flat) / (prediction.size - 1)
    looked_at = [
        value for value, fixation in zip(prediction.flat, fixated.flat, strict=True) if fixation
    ]
    return sum((value - mean) / math.sqrt(variance) for value in looked_at) / len(looked_at)


def cc(prediction, density):
    mean_p, mean_g = sum(prediction.flat) / prediction.size, sum(density.flat) / density.size
    pairs = [(p - mean_p, g - mean_g) for p, g in zip(prediction.flat, density.flat, strict=True)]
    spread_p = math.sqrt(sum(p**2 for p, _ in pairs))
    spread_g = math.sqrt(sum(g**2 for _, g in pairs))
    return sum(p * g for p, g in pairs) / (spread_p * spread_g)


def sim(prediction, density):
    shares = []
    for values in (prediction, density):
        low, high = min(values.flat), max(values.flat)
        scaled = [(value - low) / (high - low) for value in values.flat]
        shares.append([value / sum(scaled) for value in scaled])
    return sum(min(p, g) for p, g in zip(*shares, strict=True))


def kl(prediction, density):
    total_p, total_g = sum(prediction.flat), sum(density.flat)
    divergence = 0.0
    for p, g in zip(prediction.flat, density.flat, strict=True):
        p, g = p / total_p, g / total_g
        divergence += g * math.log(EPS + g / (p + EPS))
    return divergence


def information_gain(prediction, fixated, baseline):
    total_p, total_b = sum(prediction.flat), sum(baseline.flat)
    gains = [
        math.log2(EPS + p / total_p) - math.log2(EPS + b / total_b)
        for p, fixation, b in zip(prediction.flat, fixated.flat, baseline.flat, strict=True)
        if fixation
    ]
    return sum(gains) / len(gains)


def auc_judd(prediction, fixated, noise=0.0):
    noisy = prediction + noise
    scaled = (noisy - noisy.min()) / (noisy.max() - noisy.min())
    count, pixels = fixated.sum(), fixated.size
    true, false = [0.0], [0.0]
    for rank, threshold in enumerate(sorted(scaled[fixated], reverse=True), start=1):
        above = (scaled >= threshold).sum()
        true.append(rank / count)
        false.append((above - rank) / (pixels - count))
    return trapezoids([*true, 1.0], [*false, 1.0])


def auc_judd_by_pixel(prediction, fixated, noise=0.0):
    """The same with a loop over pixels as well."""
    values = [float(value) for value in (prediction + noise).flat]
    thresholds = sorted(
        (v for v, fixation in zip(values, fixated.flat, strict=True) if fixation), reverse=True
    )
    true, false = [0.0], [0.0]
    for rank, threshold in enumerate(thresholds, start=1):
        above = 0
        for value in values:
            above += value >= threshold
        true.append(rank / len(thresholds))
        false.append((above - rank) / (len(values) - len(thresholds)))
    return trapezoids([*true, 1.0], [*false, 1.0])


def auc_shuffled(prediction, fixated, elsewhere, draws):
    """`draws[i]` tells which of the pixels fixated elsewhere, by number, draw i takes."""
    scaled = (prediction - prediction.min()) / (prediction.max() - prediction.min())
    positives, pool = scaled[fixated], scaled[elsewhere]
    areas = []
    for draw in draws:
        negatives = pool[draw]
        true, false = [0.0], [0.0]
        highest = max(positives.max(), negatives.max())
        for threshold in [tenths / 10 for tenths in range(10, -1, -1)]:
            if threshold <= highest:
                true.append((positives >= threshold).sum() / len(positives))
                false.append((negatives >= threshold).sum() / len(negatives))
        areas.append(trapezoids([*true, 1.0], [*false, 1.0]))
    return sum(areas) / len(areas)


def permutations(total, size, seed, splits=100):
    """Draws of `size` of `total` without replacement."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(total)[:size] for _ in range(splits)]


def trapezoids(heights, places):
    return sum(
        (right - left) * (one + other) / 2
        for left, right, one, other in zip(
            places[:-1], places[1:], heights[:-1], heights[1:], strict=True
        )
    )


def smooth_map(rng, height, width):
    """A sum of Gaussians as of a model's map, 0..255."""
    y, x = np.mgrid[:height, :width]
    total = np.zeros((height, width))
    for _ in range(5):
        down, across = rng.random(2) * (height, width)
        total += rng.random() * np.exp(-((y - down) ** 2 + (x - across) ** 2) / 2 / 60**2)
    return 255 * total / total.max()


def pixels(rng, count, weights):
    fixated = np.zeros(weights.shape, bool)
    share = (weights / weights.sum()).ravel()
    fixated.flat[rng.choice(weights.size, count, replace=False, p=share)] = True
    return fixated


def medians_in_turn(functions, rounds, calls=5):
    """Median milliseconds of each function, some calls of one after the other's each round."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            taken.append(1e3 * (time.perf_counter() - start) / calls)
    return [statistics.median(taken) for taken in times]


def compare(kind, prediction, count, rng):
    """Print a line for each metric."""
    fixated = pixels(rng, count, prediction)
    elsewhere = pixels(rng, 10 * count, np.ones(prediction.shape))
    noise = metrics._noise(prediction.shape, 0)

    def shuffled():
        draws = permutations(10 * count, count, seed=0)
        return auc_shuffled(prediction, fixated, elsewhere, draws)

    def judd():
        return auc_judd(prediction, fixated, noise)

    def judd_by_pixel():
        return auc_judd_by_pixel(prediction, fixated, noise)

    fast_judd = functools.partial(metrics.auc_judd, prediction, fixated)
    fast_shuffled = functools.partial(metrics.auc_shuffled, prediction, fixated, elsewhere)
    for name, loop, vectorised, calls in (
        ("AUC-Judd, thresholds", judd, fast_judd, 5),
        ("AUC-Judd, thresholds and pixels", judd_by_pixel, fast_judd, 1),
        ("shuffled AUC, draws and thresholds", shuffled, fast_shuffled, 5),
    ):
        slow, fast = medians_in_turn((loop, vectorised), rounds=9 if calls > 1 else 3, calls=calls)
        print(f"{name:36} {kind:6} {count:7} {slow:8.2f} ms {fast:6.2f} ms {slow / fast:7.1f}")


def main():
    rng = np.random.default_rng(0)
    print("Maps of 360x640, medians. The loops get AUC-Judd's noise ready made.")
    print(f"{'metric, loops over':36} map    fixated       loops    vector   times")
    for count in (30, 300):
        compare("smooth", smooth_map(rng, 360, 640), count, rng)
        compare("random", 255 * rng.random((360, 640)), count, rng)


if __name__ == "__main__":
    main()
