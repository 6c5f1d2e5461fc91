"""The comparison of methods in a browser: cancel, and go on from there."""

import base64
import io
import re
import struct
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.slow  # with others, to keep `make test` short
def test_methods_are_compared_cancelled_and_resumed(tab):
    one = tab().open("methods")
    one.page.get_by_text("Copy as command").wait_for(timeout=240_000)
    one.idle().healthy()
    for name in ("Rank", "Coefficient x rank", "Integrated gradients", "Norm", "Coefficient"):
        one.field("compared").get_by_role("button", name=name, exact=True).click()
        one.idle()
    one.field("run").get_by_role("button").click()
    main = one.page.get_by_test_id("stMain")
    cancel = main.get_by_role("button", name="Cancel")
    cancel.wait_for()
    key = one.query("run")
    one.wait_until(lambda: one.server.shards(key))
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    finished = one.server.shards(key)
    assert 0 < finished < 75
    # Starting again goes on from there.
    one.idle()
    one.field("run").get_by_role("button").click()
    cancel.wait_for()
    one.wait_until(lambda: one.server.shards(key) > finished)
    assert one.query("run") == key
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    one.healthy()


def test_a_report_opens_from_disk_and_offline(tab, tmp_path):
    one = tab().open("attribution").results()
    one.page.get_by_role("button", name="Report (HTML)").click()
    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Download the report").click()
    one.page.keyboard.press("Escape")
    one.idle()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    page = one.context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert page.locator(".js-plotly-plot").count() >= 3
    words = page.locator("body").inner_text()
    assert "The capital of France is" in words
    assert words.startswith("Which neurons made it say that?")
    assert "Error allowed in a layer: " in words
    assert "None" not in words.partition("What was found")[0]
    assert "suppressed at all positions" in words
    assert "What else broke?" in words
    assert "Specificity: the best neurons" in words
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_figure_alone_is_a_picture_that_says_what_was_asked(tab, tmp_path):
    one = tab().open("attribution").results()
    # Of our own elements and of a chart.
    for name, held in (("layers", "image"), ("tokens", "rect"), ("predictions", "path")):
        one.page.locator(f".st-key-files_{name}").get_by_role("button").click()
        for form in ("SVG", "PNG"):
            with one.page.expect_download() as download:
                one.page.get_by_role("button", name=form, exact=True).click()
            assert download.value.suggested_filename == f"{name}.{form.lower()}"
            download.value.save_as(tmp_path / f"{name}.{form}")
        one.page.keyboard.press("Escape")
        drawing = ElementTree.parse(tmp_path / f"{name}.SVG")
        texts = ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]
        assert "The capital of France is → Paris" in texts
        assert "SmolLM2 135M Instruct" in texts
        assert len(list(drawing.iter(f"{SVG}{held}"))) > 3
        assert (tmp_path / f"{name}.PNG").read_bytes().startswith(b"\x89PNG")
        wide, high = struct.unpack(">II", (tmp_path / f"{name}.PNG").read_bytes()[16:24])
        assert [2 * float(drawing.getroot().get(n)) for n in ("width", "height")] == [wide, high]


def test_a_picture_for_slides_is_light_and_wide_whatever_the_page(tab, tmp_path):
    one = tab(390, color_scheme="dark").open("attribution").results()
    for name in ("layers", "predictions"):
        one.page.locator(f".st-key-files_{name}").get_by_role("button").click()
        files = one.page.locator(f".st-key-picture_{name}")
        files.get_by_role("checkbox").check()
        with one.page.expect_download() as download:
            files.get_by_role("button", name="SVG").click()
        download.value.save_as(tmp_path / name)
        one.page.keyboard.press("Escape")
        one.idle()
        drawing = ElementTree.parse(tmp_path / name).getroot()
        assert float(drawing.get("width")) > 1100
        assert drawing.find(f"{SVG}rect").get("fill") == "#FFFFFF"
        assert drawing.find(f"{SVG}text").get("fill") == "#1C2129"
        ticks = [tick.get("style") for tick in drawing.iter(f"{SVG}text") if tick.get("style")]
        shades = [re.search(r"fill: rgb\((\d+)", style) for style in ticks]
        assert all(int(shade[1]) < 128 for shade in shades if shade)
    # The page is as it was.
    ground = one.page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    assert ground == "rgb(18, 22, 29)"
    assert one.healthy().overflowing() == []


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_heat_map_for_slides_has_the_light_pages_scale(tab, tmp_path):
    one = tab(color_scheme="dark").open("knowledge_types").finished()
    files = one.page.locator(".st-key-files_kinds_value_layers")
    files.get_by_role("button").click()
    files = one.page.locator(".st-key-picture_kinds_value_layers")
    files.get_by_role("checkbox").check()
    with one.page.expect_download() as download:
        files.get_by_role("button", name="SVG").click()
    download.value.save_as(tmp_path / "map.svg")
    drawing = ElementTree.parse(tmp_path / "map.svg").getroot()
    images = [image.get("href") for image in drawing.iter(f"{SVG}image")]
    assert images
    stops = [stop.get("stop-color") for stop in drawing.iter(f"{SVG}stop")]
    assert stops[0] == "rgb(179,88,6)"
    scales = tomllib.loads(Path(".streamlit/config.toml").read_text("utf-8"))["theme"]["light"]
    scale = [
        [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        for colour in scales["chartDivergingColors"]
    ]
    light = np.array(
        [np.interp(np.linspace(0, 9, 500), range(10), part) for part in zip(*scale, strict=True)]
    ).T
    for image in images:
        picture = Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).convert("RGBA")
        shades = np.unique(np.asarray(picture).reshape(-1, 4), axis=0)
        shades = shades[shades[:, 3] == 255, :3]
        away = np.abs(shades[:, None] - light[None]).max(2).min(1)
        assert len(shades) > 5
        assert away.max() <= 3


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_presentation_has_the_page_alone(tab):
    one = tab().open("attribution").results()
    one.press("Present")
    one.page.get_by_role("button", name="Leave the presentation").wait_for()
    one.idle()
    assert not one.page.locator('[data-testid="stSidebar"]').is_visible()
    assert "present=1" in one.page.url
    assert one.page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    one.press("Full screen")
    one.page.wait_for_function("document.fullscreenElement")
    one.press("Full screen")
    one.page.wait_for_function("!document.fullscreenElement")
    one.page.keyboard.press("Escape")
    one.page.locator('[data-testid="stSidebar"]').wait_for()
    one.idle().healthy()
    assert "present" not in one.page.url
