"""Files spoilt at random, the same ones for the same seed."""

import numpy as np

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(content, seed):
    """A file's bytes with one to four changes, most of them small."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.integers(1, 5)):
        content = CHANGES[rng.integers(len(CHANGES))](content, rng)
    return content


def _flip(content, rng):
    changed = bytearray(content)
    for place in rng.integers(0, max(1, len(content)), rng.integers(1, 33)):
        if place < len(changed):
            changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _cut(content, rng):
    return content[: rng.integers(0, len(content) + 1)]


def _insert(content, rng):
    place = rng.integers(0, len(content) + 1)
    return content[:place] + rng.bytes(rng.integers(1, 65)) + content[place:]


def _blank(content, rng):
    start = rng.integers(0, len(content) + 1)
    length = min(rng.integers(1, 257), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def _repeat(content, rng):
    start = rng.integers(0, len(content) + 1)
    return content[: start + rng.integers(1, 257)] + content[start:]


def _number(content, rng):
    """An extreme number where a header is likely: near the file's beginning or its end."""
    place = rng.integers(0, min(2048, len(content)) + 1)
    if rng.random() < 0.5:
        place = len(content) - place
    value = int(EXTREMES[rng.integers(len(EXTREMES))])
    order = ("little", "big")[rng.integers(2)]
    return content[:place] + value.to_bytes(4, order) + content[place + 4 :]


CHANGES = (_flip, _cut, _insert, _blank, _repeat, _number, _number)
