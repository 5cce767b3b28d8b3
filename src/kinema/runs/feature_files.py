"""Feature tables, written in pieces: Parquet as row groups, .npz by way of a temporary file.

Columns: `path`, `start_s`, `end_s`, and `feature`, a vector of float32. In an .npz they are four arrays, `feature` [n f].
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from kinema.errors import MissingExtra, UsageError
from kinema.files import check_folder, whole_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

ENDINGS = (".parquet", ".npz")
_PIECE = 1 << 20
_GROUP_BYTES = 64 << 20


class FeatureTable(Protocol):
    """Accepts the rows of one video after the other."""

    num_rows: int

    def add(self, path: str, spans_s: NDArray[np.float64], features: NDArray[np.float32]) -> None:
        """Add rows: spans [m 2] and features [m f]."""

    def close(self) -> None:
        """Finish the file."""


def check_target(path: str) -> None:
    """Make sure that a table can be written to a path.

    Raises:
        UsageError: the ending is neither .parquet nor .npz.
        MissingExtra: Parquet without pyarrow.
        OutputError: the folder is not writable.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise UsageError("cannot choose a format by this ending", path, "use .parquet or .npz")
    if Path(path).suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise MissingExtra("Parquet tables", "pyarrow", "parquet") from error
    check_folder(Path(path).parent)


@contextmanager
def feature_table(path: str) -> Iterator[FeatureTable]:
    """Open a table, which replaces the file at the path when the block ends without an error.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as temporary:
        table = _Parquet(temporary) if Path(path).suffix.lower() == ".parquet" else _Npz(temporary)
        try:
            yield table
        finally:
            table.close()


class _Parquet:
    """Collects rows until they fill a row group."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_rows = path, 0
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._bytes = 0

    def add(self, path: str, spans_s: NDArray[np.float64], features: NDArray[np.float32]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        vector = pa.list_(pa.float32(), features.shape[1])
        columns = {
            "path": pa.array([path] * len(spans_s), pa.string()),
            "start_s": pa.array(spans_s[:, 0]),
            "end_s": pa.array(spans_s[:, 1]),
            "feature": pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), type=vector),
        }
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema)
        self._waiting.append(table)
        self._bytes += features.nbytes
        self.num_rows += len(features)
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting and self._writer is not None:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


class _Npz:
    """Collects features in a temporary file: the header of an array comes first and holds the number of rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_rows, self._dim = path, 0, 0
        self._paths: list[tuple[str, int]] = []
        self._spans: list[NDArray[np.float64]] = []
        self._rows: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  closed in close()

    def add(self, path: str, spans_s: NDArray[np.float64], features: NDArray[np.float32]) -> None:
        self._paths.append((path, len(spans_s)))
        self._spans.append(spans_s)
        self._rows.write(features.tobytes())
        self._dim = features.shape[1]
        self.num_rows += len(features)

    def close(self) -> None:
        with self._rows, zipfile.ZipFile(self.path, "w", zipfile.ZIP_STORED) as archive:
            if not self.num_rows:
                return
            spans_s = np.concatenate(self._spans)
            names = np.repeat([name for name, _ in self._paths], [count for _, count in self._paths])
            for name, column in (("path", names), ("start_s", spans_s[:, 0]), ("end_s", spans_s[:, 1])):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.ascontiguousarray(column), allow_pickle=False)
            with archive.open("feature.npy", "w", force_zip64=True) as entry:
                header = {"descr": "<f4", "fortran_order": False, "shape": (self.num_rows, self._dim)}
                np.lib.format.write_array_header_1_0(entry, header)
                self._rows.seek(0)
                while piece := self._rows.read(_PIECE):
                    entry.write(piece)
