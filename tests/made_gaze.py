"""Gaze that is made up: known fixations, saccades and pursuit, as a tracker would sample them."""

from dataclasses import dataclass

import numpy as np

from uva_tf.gaze.trials import Samples

# A screen of 24 inches at the usual distance, 45 pixels a degree at its centre.
WIDTH, HEIGHT, WIDTH_CM, DISTANCE_CM = 1920, 1080, 53.0, 65.0
PIXELS = DISTANCE_CM * WIDTH / WIDTH_CM * np.tan(np.radians(1))  # of one degree


@dataclass(frozen=True)
class Movement:
    """A fixation, saccade or pursuit from one place to another: times in ms, places in degrees."""

    kind: str
    onset: float
    end: float
    start: np.ndarray
    stop: np.ndarray

    def at(self, time):
        """Places `[n, 2]` at times within it."""
        part = ((time - self.onset) / (self.end - self.onset))[:, None]
        if self.kind == "saccade":  # of least jerk: its peak velocity is 1.9 times the mean
            part = part**3 * (10 - 15 * part + 6 * part**2)
        return self.start + (self.stop - self.start) * part


def movements(rng, seconds, pursuit=0.3, speeds=(5, 20)):
    """Movements without a break. Of those between saccades a part is pursuit.

    Fixations last 150 to 600 ms, pursuit 400 to 1500 ms. A saccade lasts 21 ms + 2.2 ms/deg
    (Carpenter, "Movements of the eyes", 1988).
    """
    found, time, place = [], 0.0, np.zeros(2)
    half = np.array([WIDTH, HEIGHT]) / PIXELS / 2 - 2
    while time < 1000 * seconds:
        if rng.random() < pursuit:
            length, angle = rng.uniform(400, 1500), rng.uniform(0, 2 * np.pi)
            speed = rng.uniform(*speeds)
            stop = place + length / 1000 * speed * np.array([np.cos(angle), np.sin(angle)])
            if (np.abs(stop) > half).any():
                continue
            found.append(Movement("pursuit", time, time + length, place, stop))
        else:
            length, stop = rng.uniform(150, 600), place
            found.append(Movement("fixation", time, time + length, place, stop))
        time, place = found[-1].end, stop
        target = rng.uniform(-half, half)
        jump = np.clip(np.hypot(*(target - place)), 1.5, 12)
        target = np.clip(place + jump * (target - place) / np.hypot(*(target - place)), -half, half)
        if np.hypot(*(target - place)) < 1:
            continue
        end = time + 21 + 2.2 * np.hypot(*(target - place))
        found.append(Movement("saccade", time, end, place, target))
        time, place = end, target
    return found


def degrees_at(found, time):
    """True places `[n, 2]` in degrees at times in ms."""
    which = np.searchsorted([one.onset for one in found], time, "right") - 1
    places = np.empty((len(time), 2))
    for index in np.unique(which):
        now = which == index
        places[now] = found[index].at(np.minimum(time[now], found[index].end))
    return places


def pixels(degrees):
    """Degrees from the centre of the screen as its pixels, `[n, 2]`."""
    flat = DISTANCE_CM * WIDTH / WIDTH_CM * np.tan(np.radians(degrees))
    return flat + (np.array([WIDTH, HEIGHT]) - 1) / 2


def sampled(rng, found, seconds, rate, noise, *, lost=True, jitter=0.0):
    """`Samples` in pixels of the screen, and which of them lie in a blink or beside one.

    Args:
        noise: standard deviation in degrees.
        lost: whether 1 % of the samples drop out, and blinks of 100 to 300 ms come about every
            four seconds, before and after which the lid pulls gaze down by 2 degrees in 30 ms.
        jitter: of the times, as a fraction of the interval.
    """
    time = np.arange(0, 1000 * seconds, 1000 / rate)
    time = np.sort(time + jitter * 1000 / rate * rng.uniform(-0.5, 0.5, len(time)))
    places = degrees_at(found, time) + noise * rng.normal(size=(len(time), 2))
    blink = np.zeros(len(time), bool)
    if lost:
        places[rng.random(len(time)) < 0.01] = np.nan
        for onset in np.arange(2000, 1000 * seconds - 1000, 4000) + rng.uniform(0, 1000):
            end = onset + rng.uniform(100, 300)
            blink |= (time >= onset - 30) & (time < end + 30)
            outside = np.maximum(onset - time, time - end)
            places[:, 1] += np.where((outside > 0) & (outside < 30), 2 * (1 - outside / 30), 0)
            places[(time >= onset) & (time < end)] = np.nan
    x, y = pixels(places).T
    return Samples(time, x, y), blink
