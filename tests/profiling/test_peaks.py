"""Peaks of the machine."""

from __future__ import annotations

import torch

from kinema.profiling.peaks import matrix_gflops, memory_gb_s


def test_peaks_are_measured_and_settings_are_as_before():
    before = torch.get_float32_matmul_precision()
    assert matrix_gflops("cpu", "f32", 0.01) > 0.1
    assert memory_gb_s("cpu", 0.01) > 0.01
    assert torch.get_float32_matmul_precision() == before
