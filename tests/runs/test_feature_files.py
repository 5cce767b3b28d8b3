"""Tables of features: written in pieces, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema.runs import feature_files


def read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return dict(archive)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert str(table.schema.field("feature").type).startswith("fixed_size_list<")
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_a_table_is_written_in_pieces(tmp_path, monkeypatch, name):
    monkeypatch.setattr(feature_files, "_GROUP_BYTES", 100)
    monkeypatch.setattr(feature_files, "_PIECE", 7)
    rng = np.random.default_rng(0)
    parts = [(f"film{n}.mp4", rng.random((n + 1, 2)), rng.random((n + 1, 6)).astype(np.float32)) for n in range(5)]
    with feature_files.feature_table(str(tmp_path / name)) as table:
        for part in parts:
            table.add(*part)
        assert table.num_rows == 15
    found = read(tmp_path / name)
    assert np.array_equal(found["feature"].astype(np.float32), np.concatenate([rows for _, _, rows in parts]))
    assert np.array_equal(found["end_s"], np.concatenate([spans_s[:, 1] for _, spans_s, _ in parts]))
    assert found["path"].tolist() == [path for path, spans_s, _ in parts for _ in spans_s]
    if name.endswith(".parquet"):
        import pyarrow.parquet as pq

        assert pq.ParquetFile(tmp_path / name).num_row_groups > 1


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_a_table_that_is_broken_off_leaves_the_old_one(tmp_path, name):
    (tmp_path / name).write_text("old")
    with pytest.raises(KeyboardInterrupt), feature_files.feature_table(str(tmp_path / name)) as table:
        table.add("a.mp4", np.ones((1, 2)), np.ones((1, 3), np.float32))
        raise KeyboardInterrupt
    assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
