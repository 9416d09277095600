"""A network over a data set: figures per class, comparisons, predictions."""

from __future__ import annotations

from segship.evaluate.job import Job
from segship.evaluate.network import NetworkFiles
from segship.evaluate.options import EvalOptions
from segship.evaluate.result import Comparison, Evaluation
from segship.evaluate.run import evaluate, evaluate_job, pair_files

__all__ = ["Comparison", "EvalOptions", "Evaluation", "Job", "NetworkFiles", "evaluate", "evaluate_job", "pair_files"]
