"""The report as a reader meets it: opened in a real headless browser, light and dark, on a desk and on a phone."""

import json
import math
import os
import re
import shutil
import subprocess
from html import unescape

import pytest
from toy import SETTING

from theorylab.verdict.report import write_report
from theorylab.verdict.rows import Row, Status, Verdict

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no headless browser: none of {', '.join(NAMES)} found; name one in the variable CHROMIUM"
)

PHONE = 390  # pixels across; a headless window is at least 500, hence the frame below
# Runs at the end of a copy of the page: notes what a reader sees, clicks headers, writes all that into the document.
PROBE = """<script>addEventListener("load", () => {
for (const part of document.querySelectorAll("details")) part.open = true;
const root = document.documentElement, heads = [...document.querySelector("table").tHead.rows[0].cells];
const click = name => { const head = heads.find(h => h.textContent === name); head.querySelector("button").click();
  const rows = [...head.closest("table").tBodies[0].rows];
  return [head.getAttribute("aria-sort"), ...rows.map(r => r.cells[0].textContent)]; };
const seen = { width: innerWidth, scroll: root.scrollWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches,
  colours: [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor],
  images: [...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().right]),
  requests: performance.getEntriesByType("resource").map(e => e.name),
  clicks: { predicted: [click("predicted"), click("predicted")], z: [click("z"), click("z")], case: [click("case")] },
  cut: [...document.querySelectorAll("td, li, summary, dd")].filter(
    e => e.getBoundingClientRect().right > innerWidth).length,
  marked: heads.filter(h => h.hasAttribute("aria-sort")).map(h => h.textContent) };
document.body.dataset.seen = JSON.stringify(seen); parent.postMessage(JSON.stringify(seen), "*"); });</script>"""
FRAME = """<!doctype html><body style="margin:0"><script>
addEventListener("message", event => { document.body.dataset.seen = event.data; });</script>
<iframe src="{page}" style="border:0;width:390px;height:1400px"></iframe></body>"""


def row(case, predicted, z, verdict=Verdict(Status.AGREES)):  # noqa: B008 - immutable
    error = 0.01 * abs(predicted) if math.isfinite(predicted) else 0.01
    return Row("sample_mean", "ensemble", predicted + z * error if math.isfinite(z) else predicted, error, predicted,
               z, 0.01, 4 * error, verdict, case=case, cell={"num_samples": 128, "mean": 0.25}, seeds=20)  # fmt: skip


LONG = "num_samples = 13 is below twenty, and its reason is a long one"
ROWS = (
    row("case 10", 2.5, 1.0), row("case 9", 10.0, -3.0), row("small and negative", -1e-3, math.nan),
    row("unbounded", math.inf, 2.0), row("wrong", 0.3, 7.5, Verdict(Status.DISAGREES)),
    row("lost", 1e5, math.nan, Verdict(Status.NOT_JUDGED, LONG)),
)  # fmt: skip


def start(folder, name, page, *options):
    """Open a page in a browser of its own, for a picture and the document as it is in the end."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={folder / ('profile ' + name)}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=5000", f"--screenshot={folder / name}.png", "--dump-dom", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def finish(process):
    """What the probe saw, and what the console said."""
    document, log = process.communicate(timeout=120)
    found = re.search(r'data-seen="([^"]*)"', document)
    assert found, f"the page did not run to its end:\n{log[-2000:]}"
    return json.loads(unescape(found[1])), [line for line in log.splitlines() if ":CONSOLE" in line]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Four browsers side by side, and the pictures of three for whoever looks at the folder."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("report")
    Image.new("RGB", (1600, 500), "#D55E00").save(folder / "figure.png")
    provenance = {"theorylab_version": "0.1.0", "device": "cpu " * 60, "finished_at": "2026-01-01T00:00:00"}
    report = write_report(folder / "report.html", [(SETTING, ROWS, folder / "figure.png", provenance)])
    text = report.read_text(encoding="utf-8")
    probed, broken = folder / "probed.html", folder / "broken.html"
    probed.write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    flaws = '<div style="width:600px">wide</div><img src="https://example.invalid/a.png"><script>missing()</script>'
    broken.write_text(text.replace("</body>", flaws + PROBE + "</body>"), encoding="utf-8")
    for page in (probed, broken):
        frame = folder / f"{page.stem} on a phone.html"
        frame.write_text(FRAME.replace("{page}", page.name), encoding="utf-8")
    desk, phone = "--window-size=1280,1000", f"--window-size={PHONE},1400"
    processes = {
        "light": start(folder, "light", probed, desk),
        "dark": start(folder, "dark", probed, desk, "--force-dark-mode", "--blink-settings=preferredColorScheme=0"),
        "phone": start(folder, "phone", folder / "probed on a phone.html", phone),
        "broken": start(folder, "broken", folder / "broken on a phone.html", phone),
    }
    try:
        return {name: finish(process) for name, process in processes.items()}
    finally:
        for process in processes.values():  # one that hangs is not left behind
            process.kill()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_page_is_complete_and_asks_for_nothing(seen, look):
    page, console = seen[look]
    assert console == []
    assert page["requests"] == []
    assert [width for width, _ in page["images"]] == [1600]


def test_nothing_is_wider_than_a_phone(seen):
    page, _ = seen["phone"]
    assert page["width"] == PHONE
    assert page["scroll"] <= PHONE
    assert page["images"][0][1] <= PHONE
    assert page["cut"] == 0  # in view without moving anything


def test_a_broken_page_is_noticed(seen):
    """Negative control: something wide, a picture from elsewhere, a script that fails."""
    page, console = seen["broken"]
    assert page["scroll"] >= 600
    assert any("Content Security Policy" in line and "example.invalid" in line for line in console)
    assert any("missing is not defined" in line for line in console)


def test_dark_and_light_are_both_readable(seen):
    def luminance(colour):
        parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for look, dark in (("light", False), ("dark", True)):
        page, _ = seen[look]
        assert page["dark"] is dark
        text, background = map(luminance, page["colours"])
        assert (background < 0.1) is dark
        assert (max(text, background) + 0.05) / (min(text, background) + 0.05) > 7  # the strictest level of WCAG


def test_a_click_on_a_header_sorts(seen):
    page, _ = seen["light"]
    upward = ["small and negative", "wrong", "case 10", "case 9", "lost", "unbounded"]
    assert page["clicks"]["predicted"] == [["ascending", *upward], ["descending", *reversed(upward)]]
    up, down = page["clicks"]["z"]
    assert up[:5] == ["ascending", "case 9", "case 10", "unbounded", "wrong"]
    assert down[:5] == ["descending", "wrong", "unbounded", "case 10", "case 9"]
    assert set(up[5:]) == set(down[5:]) == {"small and negative", "lost"}  # without a z: last in both directions
    assert page["clicks"]["case"][0][:3] == ["ascending", "case 9", "case 10"]
    assert page["marked"] == ["case"]
