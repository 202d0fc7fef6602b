"""The page: self-contained, inert, escaped, and calm about what is missing."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from phispace.report import embed
from phispace.report.document import (
    Code,
    Column,
    Fact,
    Facts,
    Figure,
    Film,
    Finding,
    Findings,
    Gallery,
    Number,
    Provenance,
    Report,
    Row,
    Table,
    Text,
)
from phispace.report.render import render, to_html

ALLOWED = {"href", "src", "srcset", "alt", "class", "id", "width", "height", "media", "scope", "colspan", "role"}
ALLOWED |= {"tabindex", "aria-label", "aria-hidden", "lang", "charset", "name", "content", "http-equiv"}
VOID = {"meta", "img", "source", "br", "hr", "link", "input"}


class Shape(HTMLParser):
    """What a page is made of: elements, attributes, text; and whether its tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.comments = 0
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def report_with(label: str, path: str = "picture.png") -> Report:
    """Every part of the document with this label in every place that takes text."""
    number = Number(value=0.5, low=0.4, high=0.6, form="share", notes=(label,))
    undefined = Number(value=None, reason=label)
    figure = Figure(title=label, path=path, alt=label, caption=label)
    fact = Fact(name=label, value=label, note=label)
    return Report(
        title=label,
        subtitle=label,
        question=label,
        answer=label,
        caveats=(label,),
        made=label,
        headline=(fact, Fact(name=label, value=number, note=label), Fact(name=label, value=undefined)),
        sections=(
            Text(title=label, paragraphs=(label,), points=(label,), tone="caution"),
            Code(title=label, text=label, caption=label, folded=True),
            Code(text=label, caption=label),
            Table(
                title=label,
                columns=(Column(title=label, form="share", note=label), Column(title=label)),
                rows=(
                    Row(label=label, cells=(number, label), note=label),
                    Row(label=label, cells=(undefined, None), baseline=True),
                ),
                label_title=label,
                caption=label,
                notes=(label,),
            ),
            Table(columns=(), rows=(), folded=label),
            figure,
            Gallery(figures=(figure, figure), caption=label),
            Film(path=path, alt=label, caption=label, stills=(figure,), frames="frames"),
            Facts(title=label, facts=(fact,), caption=label),
            Findings(
                title=label,
                findings=(Finding(claim=label, verdict="no", answer=label, numbers=(fact,)),),
                caption=label,
            ),
        ),
        provenance=Provenance(command=label, facts=(fact,), configuration=label, sources=("a b.json",)),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40), "navy").save(tmp_path / "picture.png")
    return tmp_path


def test_hostile_labels_add_no_element_and_no_attribute(root: Path, hostile: str) -> None:
    calm, page = Shape(to_html(report_with("word"), root)), Shape(to_html(report_with(hostile), root))
    assert page.elements == calm.elements
    assert [a[:2] for a in page.attributes] == [a[:2] for a in calm.attributes]
    assert page.comments == calm.comments == 0
    assert not page.open
    for tag, name, value in page.attributes:
        assert name in ALLOWED, (tag, name)
        if name in ("href", "src", "srcset"):
            assert value.startswith(("#", "./", "data:image/")), (tag, value)


def test_hostile_labels_are_still_read_as_they_are(root: Path) -> None:
    text = "".join(Shape(to_html(report_with("<script>alert(1)</script> & {{ 7 * 7 }}"), root)).text)
    assert text.count("<script>alert(1)</script> & {{ 7 * 7 }}") > 20
    assert "49" not in text.split("Provenance")[0].split("{{")[0]


def test_the_policy_allows_this_style_alone(root: Path) -> None:
    page = to_html(report_with("x"), root)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].startswith("default-src 'none'; img-src data:; ")
    assert f"style-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'")
    assert "unsafe" not in policy[1]
    assert "script" not in policy[1]


def test_nothing_is_loaded_and_nothing_runs(root: Path) -> None:
    page = to_html(report_with("x"), root)
    shape = Shape(page)
    assert not set(shape.elements) & {"script", "link", "iframe", "object", "embed", "form", "base", "svg", "video"}
    assert "http:" not in page
    assert "https:" not in page
    assert not any(name == "style" or name.startswith("on") for _, name, _ in shape.attributes)


def test_rendering_is_repeatable(root: Path) -> None:
    assert to_html(report_with("x"), root) == to_html(report_with("x"), root)


def test_render_writes_one_file(root: Path) -> None:
    path = render(report_with("x"), root / "out.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(p.name for p in root.iterdir()) == ["out.html", "picture.png"]


def test_an_almost_empty_report(tmp_path: Path) -> None:
    shape = Shape(to_html(Report(title="t", question="q", answer="a"), tmp_path))
    assert shape.elements["h1"] == 1
    assert not shape.open


def one_figure(root: Path, name: str = "picture.png") -> str:
    return to_html(Report(title="t", question="q", answer="a", sections=(Figure(path=name, alt="x"),)), root)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "GIF"])
def test_formats_are_told_by_content_not_by_name(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "picture.png", kind)
    assert f"data:image/{kind.lower()};base64," in one_figure(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"\x89PNG\r\n\x1a\n",
        b"BM" + b"\0" * 80,
        b"<html>",
    ],
)
def test_what_is_no_picture_becomes_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    page = one_figure(tmp_path)
    assert "cannot be read" in page
    assert "<img" not in page


def test_a_truncated_picture_becomes_a_sentence(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(stream, "PNG")
    (tmp_path / "picture.png").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    assert "cannot be read" in one_figure(tmp_path)


def test_a_missing_picture_becomes_a_sentence(tmp_path: Path) -> None:
    assert "is missing" in one_figure(tmp_path)


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "picture.png").symlink_to(tmp_path / "secret.png")
    page = one_figure(tmp_path / "report")
    assert "lies outside" in page
    assert "<img" not in page


def test_a_large_picture_is_embedded_small_with_a_link(tmp_path: Path) -> None:
    Image.effect_noise((2600, 1950), 80).save(tmp_path / "a b#1.png")
    found = embed.embed(tmp_path, "a b#1.png")
    assert max(found.width, found.height) <= embed.PREVIEW_SIDE
    assert len(found.data) < 1.4 * embed.MAX_BYTES * 4 / 3
    assert found.link == "./a%20b%231.png"
    page = one_figure(tmp_path, "a b#1.png")
    assert 'href="./a%20b%231.png"' in page
    assert "2600 × 1950" in page


def test_a_picture_that_looks_like_an_address_stays_a_relative_link(tmp_path: Path) -> None:
    assert embed.address("javascript%3Aalert(1)") == "./javascript%253Aalert%281%29"
    assert embed.address("//evil.example/x") == ".///evil.example/x"


def test_a_film_keeps_its_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), (i * 20, 0, 0)) for i in range(8)]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:], duration=100)
    frames[-1].save(tmp_path / "last.png")
    film = Film(path="film.webp", alt="film", stills=(Figure(path="last.png", alt="last"),), frames="frames")
    page = to_html(Report(title="t", question="q", answer="a", sections=(film,)), tmp_path)
    data = re.search(r'<img src="data:image/webp;base64,([^"]+)"', page)
    assert data
    assert Image.open(io.BytesIO(base64.b64decode(data[1]))).n_frames == 8
    assert "prefers-reduced-motion" in page
    assert 'href="./frames/"' in page


def test_a_film_that_is_too_large_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.effect_noise((64, 64), 90) for _ in range(4)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[-1].save(tmp_path / "last.png")
    monkeypatch.setattr(embed, "MAX_FILM_BYTES", 100)
    film = Film(path="film.gif", alt="film", stills=(Figure(path="last.png", alt="last"),))
    page = to_html(Report(title="t", question="q", answer="a", sections=(film,)), tmp_path)
    assert 'href="./film.gif"' in page
    assert "data:image/gif" not in page
    assert page.count("<img") == 1


def test_dark_pages_get_the_dark_twin(root: Path) -> None:
    Image.new("RGB", (60, 40), "black").save(root / "picture.dark.png")
    page = one_figure(root)
    assert 'media="screen and (prefers-color-scheme: dark)"' in page
    assert page.count("data:image/png") == 2


def test_equal_caveats_share_a_footnote(root: Path) -> None:
    cell = Number(value=1.0, notes=("same", "other"))
    table = Table(columns=(Column(title="x"),), rows=(Row(label="a", cells=(cell,)), Row(label="b", cells=(cell,))))
    page = to_html(Report(title="t", question="q", answer="a", sections=(table,)), root)
    assert page.count("<li>same</li>") == 1
    assert page.count("<sup>1</sup>") == 2


def test_undefined_numbers_say_why(root: Path) -> None:
    cell = Number(value=float("nan"), reason="only one class")
    table = Table(columns=(Column(title="x"),), rows=(Row(label="a", cells=(cell,)),))
    page = to_html(Report(title="t", question="q", answer="a", sections=(table,)), root)
    assert "n/a" in page
    assert "<li>only one class</li>" in page
    assert ">nan" not in page.lower()


def test_a_number_without_a_form_takes_its_columns(root: Path) -> None:
    table = Table(
        columns=(Column(title="share", form="share"), Column(title="minutes", form="minutes")),
        rows=(Row(label="a", cells=(Number(value=0.183), Number(value=0.183))),),
    )
    page = to_html(Report(title="t", question="q", answer="a", sections=(table,)), root)
    assert ">18.3<" in page
    assert ">0.183<" in page
    assert '<span class="unit">, %</span>' in page
    assert "minutes<span" not in page
