"""A network over a data set: figures per class, comparisons, predictions."""

from __future__ import annotations

from segship.evaluation.job import Job
from segship.evaluation.network import NetworkFiles
from segship.evaluation.options import EvalOptions
from segship.evaluation.result import Comparison, Evaluation
from segship.evaluation.run import evaluate, evaluate_job, pair_files

__all__ = ["Comparison", "EvalOptions", "Evaluation", "Job", "NetworkFiles", "evaluate", "evaluate_job", "pair_files"]
