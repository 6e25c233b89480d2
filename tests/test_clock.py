"""Presentation times: the container's, put right where they are not."""

import pytest

from uva_tf.core.clock import Clock


def times(packets, frames, ahead=4, tick=1):
    """What a clock makes of packets in the order of decoding and frames in the order shown."""
    clock, made = Clock(tick), []
    for packet in packets:
        clock.packet(packet)
    for number, frame in enumerate(frames):
        made.append(clock.frame(frame, frames[number + 1 : number + 1 + ahead]))
    return made, clock


def test_the_containers_times_are_kept():
    uneven = [7, 174, 240, 340, 2840]
    made, clock = times(uneven, uneven)
    assert made == uneven
    assert (clock.missing, clock.moved) == (0, 0)


def test_times_of_packets_that_are_decoded_in_another_order_are_kept():
    made, clock = times([0, 4, 2, 1, 3], [0, 1, 2, 3, 4])
    assert made == [0, 1, 2, 3, 4]
    assert clock.moved == 0


def test_times_that_state_the_order_of_decoding_are_sorted():
    # H.264 in AVI: decoded I P B B P B B, shown I B B P B B P, with the times of the packets.
    made, clock = times([1, 2, 3, 4, 5, 6, 7], [1, 3, 4, 2, 6, 7, 5])
    assert made == [1, 2, 3, 4, 5, 6, 7]
    assert (clock.missing, clock.moved) == (0, 0)


def test_a_lost_frame_leaves_a_gap_and_moves_no_other():
    made, _ = times([0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5])
    assert made == [0, 1, 3, 4, 5]


def test_a_late_frame_goes_between_its_neighbours():
    made, clock = times([0, 40, 20, 10, 30, 50], [0, 10, 30, 20, 40, 50])
    assert made == [0, 10, 30, 35, 40, 50]
    assert clock.moved == 1


@pytest.mark.parametrize("ahead", [0, 4])
def test_frames_without_times_follow_at_the_mean_rate(ahead):
    made, clock = times([None] * 3, [None] * 3, ahead, tick=40)
    assert made == [0, 40, 80]
    assert clock.missing == 3
    made, _ = times([5, None, None], [5, None, None], ahead, tick=40)
    assert made == [5, 45, 85]


def test_times_always_rise():
    made, clock = times([3, 5, 4, 4], [3, 4, 4, 5])
    assert made == sorted(set(made))
    assert clock.moved == 1
    made, _ = times([9, 9, 9], [9, 9, 9])
    assert made == [9, 9.5, 10]


@pytest.mark.parametrize("ahead", [0, 4])
def test_a_repeated_time_moves_no_other(ahead):
    times_of_packets = [0, 33, 33, 67, 100, 100, 133]
    made, clock = times(times_of_packets, times_of_packets, ahead, tick=33)
    assert [made[n] for n in (0, 1, 3, 4, 6)] == [0, 33, 67, 100, 133]
    assert 33 < made[2] < 67
    assert clock.moved == 2
