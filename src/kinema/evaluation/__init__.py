"""Evaluation of classifiers: hits, class tables, confidence intervals, reports. NumPy only: its input are scores."""

from __future__ import annotations

from kinema.evaluation.judgement import Failed, Judgement
from kinema.evaluation.result import Evaluation, evaluate_scores
from kinema.evaluation.scores import VideoScores

__all__ = ["Evaluation", "Failed", "Judgement", "VideoScores", "evaluate_scores"]
