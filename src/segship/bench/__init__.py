"""Latency, throughput and memory of packages."""

from __future__ import annotations

from segship.bench.result import Benchmark, Measurement, Refusal, Spread
from segship.bench.run import benchmark

__all__ = ["Benchmark", "Measurement", "Refusal", "Spread", "benchmark"]
