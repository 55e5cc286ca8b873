"""What samples mean: ratios of pairs, their intervals, and who is best."""

from __future__ import annotations

import pytest
from measuring import figures
from measuring.figures import Interval


def runs(name: str, *values: float) -> list[dict[str, float]]:
    return [{name: value} for value in values]


def test_a_ratio_is_of_runs_of_the_same_round() -> None:
    # The machine slows down in every round; both proxies cost the same in each of them.
    found = figures.ratio(runs("cpu", 10, 20, 40), runs("cpu", 10, 20, 40), "cpu")
    assert found == Interval(1, 1, 1)
    # The same runs in another order are not the same ratios.
    assert figures.ratio(runs("cpu", 10, 20, 40), runs("cpu", 40, 20, 10), "cpu") != found


def test_a_ratio_of_unequal_numbers_of_runs_is_refused() -> None:
    with pytest.raises(ValueError):
        figures.ratio(runs("cpu", 1, 2), runs("cpu", 1), "cpu")


def test_a_figure_that_a_run_lacks_has_no_ratio() -> None:
    assert figures.ratio(runs("cpu", 1, 2), runs("rate", 1, 2), "cpu") is None
    assert figures.ratio([], [], "cpu") is None
    assert figures.ratio(runs("p50", 1), runs("p50", 0), "p50") is None


def test_the_interval_contains_the_median_and_widens_with_the_noise() -> None:
    calm = figures.bootstrap([0.99, 1.0, 1.01, 1.0, 0.99, 1.01, 1.0])
    noisy = figures.bootstrap([0.5, 1.0, 1.5, 1.0, 0.6, 1.4, 1.0])
    for each in (calm, noisy):
        assert each.low <= each.median == 1.0 <= each.high
    assert noisy.high - noisy.low > calm.high - calm.low > 0


def test_the_interval_of_one_sample_is_that_sample_and_of_none_is_an_error() -> None:
    assert figures.bootstrap([0.7]) == Interval(0.7, 0.7, 0.7)
    with pytest.raises(ValueError):
        figures.bootstrap([])


def test_the_interval_is_the_same_each_time() -> None:
    values = [1.0, 1.1, 0.9, 1.3, 0.8]
    assert figures.bootstrap(values) == figures.bootstrap(values)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    import random

    generator = random.Random(7)
    hits = 0
    for _ in range(60):
        found = figures.bootstrap([generator.gauss(1, 0.1) for _ in range(15)])
        hits += found.low <= 1 <= found.high
    assert 50 <= hits <= 60


def test_the_best_peer_has_the_least_cpu_by_the_median_and_not_by_its_luckiest_run() -> None:
    samples = {"lucky": runs("cpu", 1, 9, 9), "steady": runs("cpu", 5, 5, 5), "ours": runs("cpu", 0, 0, 0)}
    assert figures.best(samples, ["lucky", "steady"]) == "steady"


def test_the_best_peer_of_a_rate_has_most_of_it() -> None:
    samples = {"slow": runs("rate", 1, 2, 3), "fast": runs("rate", 4, 5, 6)}
    assert figures.best(samples, ["slow", "fast"], "rate") == "fast"


def test_without_peers_there_is_no_best() -> None:
    assert figures.best({"ours": runs("cpu", 1)}, []) is None


def test_results_apart_give_a_ratio_of_medians_with_the_noise_of_both() -> None:
    found = figures.unpaired_ratio(runs("cpu", 8, 10, 12), runs("cpu", 20), "cpu")
    assert found is not None
    assert found.median == 0.5
    assert (found.low, found.high) == (0.4, 0.6)
    assert figures.unpaired_ratio(runs("cpu", 1), runs("rate", 1), "cpu") is None
