from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from kinema.errors import UsageError
from kinema.evaluation import Failed, VideoScores, evaluate_scores
from kinema.evaluation.report import FILES, Report, add_comparison, add_training, evaluation_report, save
from kinema.labels import Labels


def evaluation():
    rng = np.random.default_rng(0)
    videos = [VideoScores(f"{i}.mp4", i % 3, rng.dirichlet(np.ones(3), 2).astype(np.float32)) for i in range(30)]
    return evaluate_scores(videos, Labels(("a", "<b>", "c")), failures=[Failed("broken.mp4", "not a video")])


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.targets += [found[key] for key in ("src", "href", "xlink:href") if found.get(key)]
        self.ids += [found["id"]] if "id" in found else []


def read(page: str) -> Links:
    links = Links()
    links.feed(page)
    return links


def full_report() -> Report:
    result = evaluation()
    report = evaluation_report(result)
    add_training(report, [{"epoch": e, "train_loss": 1 / e, "valid_hit_at_1": 0.5, "note": "x"} for e in (1, 2, 3)])
    return add_comparison(report, {"one": result, "two": result})


def test_page_links_to_nothing_outside_itself() -> None:
    links = read(full_report().html())
    assert links.targets
    assert all(target.startswith(("#", "data:")) for target in links.targets)
    assert "@import" not in full_report().html()


def test_ids_are_unique_although_charts_are_inline() -> None:
    links = read(full_report().html())
    assert len(links.ids) == len(set(links.ids))
    known = {f"#{name}" for name in links.ids}
    assert {target for target in links.targets if target.startswith("#")} <= known


def test_names_from_the_data_are_escaped() -> None:
    assert "<b>" not in re.sub(r"<div class=\"tile\">.*?</div>", "", full_report().html(), flags=re.DOTALL)
    assert "&lt;b&gt;" in full_report().html()


def test_page_names_figures_mistakes_and_failed_files() -> None:
    page = full_report().html()
    for expected in (
        "Video hit@1",
        "Macro-F1",
        "Worst mistakes",
        "broken.mp4",
        "not a video",
        "Training",
        "Comparison",
    ):
        assert expected in page


def test_what_says_nothing_is_left_out() -> None:
    """Of three classes the right one is always among the best five; of a class without a video nothing is known."""
    videos = [VideoScores(f"{i}.mp4", i % 2, np.eye(3, dtype=np.float32)[[i % 2]]) for i in range(4)]
    page = evaluation_report(evaluate_scores(videos, Labels(("a", "b", "never seen")))).html()
    assert "hit@5" not in page
    assert not re.search("0.000", page[page.index("never seen") :].split("</tr>")[0])


def test_video_goes_into_the_page_as_data(tmp_path) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(b"film")
    Report("A film").add_video(film, "look").write(tmp_path / "r.html")
    assert 'src="data:video/mp4;base64,ZmlsbQ=="' in (tmp_path / "r.html").read_text()
    with pytest.raises(UsageError, match="cannot embed this video"):
        Report("A film").add_video(tmp_path / "b.mp4")


def test_columns_of_numbers_stand_to_the_right_and_shares_get_a_bar() -> None:
    page = Report("x").add_table(["name", "share"], [["a", 0.25], ["b", 1.5]], shares=["share"]).html()
    assert '<th scope="col" class="num">share' in page
    assert "--share: 25.0%" in page
    assert "--share: 100.0%" in page


def test_large_numbers_are_written_out() -> None:
    page = Report("x").add_table(["s"], [[12345.6], [0.00001234], [999.96]]).html()
    assert all(f">{text}<" in page for text in ("12346", "1.234e-05", "1000"))
    assert "e+04" not in page


def styles_of(page: str) -> dict[str, str]:
    """The declarations of the page's style sheet, by selector; those for other widths and media aside."""
    sheet = page[page.index("<style>") + len("<style>") : page.index("</style>")]
    sheet = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^}]*\})*\s*\}", "", sheet)
    return {selector.strip(): style for selector, style in re.findall(r"([^{}]+)\{([^}]*)\}", sheet)}


def test_long_names_may_be_broken_wherever_they_stand_so_that_the_page_keeps_its_width() -> None:
    name = "recording_of_a_day.mp4"
    page = Report(name).add_section(name).add_table(["video", "label", "n"], [[name, "no_fight", 3]]).html()
    assert f'<td class="long">{name}</td>' in page
    assert '<td class="">no_fight</td>' in page
    styles = styles_of(page)
    assert "overflow-wrap: anywhere" in styles["body"]  # titles and links get it from here
    assert "overflow-wrap: normal" in styles["th, td"]  # short words of a table stay whole
    assert "overflow-wrap: anywhere" in styles["td.long"]
    assert [selector for selector, style in styles.items() if "nowrap" in style] == ["td.num"]


def test_save_leaves_four_files(tmp_path) -> None:
    save(evaluation(), tmp_path / "new", about={"model": "x3d"})
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == set(FILES)
    assert json.loads((tmp_path / "new" / "evaluation.json").read_text())["model"] == "x3d"
