from __future__ import annotations

import json

from kinema.engines.options import EngineOptions
from kinema.profiling.report import Speed, SpeedReport, SpeedRequest, StartTimes


def test_a_report_survives_json_with_its_figures_side_by_side() -> None:
    speed = Speed(10.0, 0.1, 0.2, None, None, 300.0)
    report = SpeedReport(StartTimes(1.0, 0.5, 0.25, 1.75), "torch", "cpu", "f32", speed, None)
    values = json.loads(json.dumps(report.to_json()))
    assert values["start"]["total_s"] == 1.75
    assert (values["clips_per_s"], values["step_p50_s"], values["train_clips_per_s"]) == (10.0, None, None)
    assert SpeedReport.from_json(values) == report


def test_a_request_holds_the_options_of_the_engine() -> None:
    request = SpeedRequest("r3d_18", engine="torch", precision="bf16", batch_size=4)
    assert request.engine_options() == EngineOptions(engine="torch", precision="bf16", batch_size=4)
