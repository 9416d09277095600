"""A network over a data set: figures per class, comparisons, predictions."""

from __future__ import annotations

from segship.evaluation.data import Data, SampleSet
from segship.evaluation.job import Job
from segship.evaluation.network import NetworkFiles
from segship.evaluation.options import EvalOptions, read_eval_options
from segship.evaluation.outputs import OutputFolders
from segship.evaluation.result import Evaluation, SecondNetwork
from segship.evaluation.run import evaluate, evaluate_job, pair_files

__all__ = [
    "Data",
    "EvalOptions",
    "Evaluation",
    "Job",
    "NetworkFiles",
    "OutputFolders",
    "SampleSet",
    "SecondNetwork",
    "evaluate",
    "evaluate_job",
    "pair_files",
    "read_eval_options",
]
