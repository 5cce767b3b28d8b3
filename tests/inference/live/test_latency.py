"""Percentiles of latency, the rate of predictions, and dropped frames."""

from __future__ import annotations

from kinema.inference.live.latency import LatencyStats, percentiles


def test_percentiles_of_latency_are_those_of_the_latest():
    assert percentiles([0.1]) == {"p50": 0.1, "p95": 0.1, "p99": 0.1}
    assert percentiles([n / 100 for n in range(100, 0, -1)]) == {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def test_the_pace_is_the_rate_of_the_predictions_and_what_they_took():
    moments_s = iter([10.0, 10.5, 11.0])
    pace = LatencyStats(clock=lambda: next(moments_s))
    for latency_s, dropped in ((0.3, 0), (0.1, 2), (0.2, 2)):
        pace.add(latency_s, dropped)
    assert pace.per_s == 2.0
    assert str(pace) == "latency p50 200 ms, p95 300 ms, p99 300 ms, 2 frames dropped"
    found = {"latency_p50_s": 0.2, "latency_p95_s": 0.3, "latency_p99_s": 0.3, "predictions_per_s": 2.0, "dropped": 2}
    assert pace.to_json() == found


def test_the_first_prediction_has_no_rate():
    pace = LatencyStats()
    pace.add(0.1, 0)
    assert (pace.count, pace.per_s) == (1, 0.0)
