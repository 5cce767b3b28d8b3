"""The network that a run starts with."""

from __future__ import annotations

from kinema.datasets.dataset import DataSet
from kinema.labels import Labels
from kinema.runs.config import TrainConfig
from kinema.runs.start import build_network
from kinema.types import Example


def test_a_network_that_joins_scores_is_told_of_several_labels(tmp_path):
    films = (Example("1.mp4", ("red", "blue")), Example("2.mp4", ("red",)))
    config = TrainConfig(model="two_stream", backbone="test_resnet", out=str(tmp_path), size="32")
    for multi_label in (True, False):
        data = DataSet("films", ".", films, Labels(("red", "blue", "green")), multi_label)
        assert build_network(config, data, data).classifier.multi_label is multi_label
