"""The site: it builds without a warning, links lead somewhere, and a browser can use it.

Tutorials are executed by ``make docs`` and, as scripts, by ``tests/test_tutorials.py``; here they
are shown as they are.
"""

from __future__ import annotations

import functools
import http.server
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import torchmist

pytest.importorskip("sphinx")
ROOT = Path(__file__).parent.parent
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
PHONE = 360


class Page(HTMLParser):
    """Links, ids, and the name and content of meta tags of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.meta: dict[str, str] = {}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.add(found["id"])
        if tag in ("a", "img", "link", "script") and (to := found.get("href", found.get("src"))):
            self.links.append(to)
        if tag == "meta":
            self.meta[found.get("name", "")] = found.get("content", "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, every warning an error, with the tutorials not executed."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-D", "nb_execution_mode=off", "-d", str(out / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(out / "html")], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "html"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """Every page by its path."""
    return {path: Page(path) for path in site.rglob("*.html")}


def test_internal_links_lead_to_pages_and_places(pages, site) -> None:
    broken, checked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            known = pages.get(target)
            missing = known is not None and anchor and anchor not in known.ids
            if not target.exists() or (
                missing and not path.name.startswith(("genindex", "search"))
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
            checked += 1
    assert checked > 1000 and not broken, broken[:10]


def test_nothing_is_loaded_from_elsewhere(pages) -> None:
    """Scripts, styles and pictures are the site's own, so that it works offline."""
    for path in pages:
        text = path.read_text()
        assert not re.findall(r'<(?:script|img)[^>]+src="https?:', text), path
        assert not re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="https?:', text), path


def test_every_public_function_and_class_has_an_entry(pages) -> None:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        modules = importlib.import_module("pages").modules()
    finally:
        sys.path.pop(0)
    ids = set().union(*(page.ids for page in pages.values()))
    names = {f"torchmist.{name}" for name in torchmist.__all__ if name != "__version__"}
    for module in modules:
        public = vars(importlib.import_module(module))
        names |= {
            f"{module}.{name}"
            for name in public["__all__"]
            if inspect.isclass(public[name]) or inspect.isfunction(public[name])
        }
    assert len(names) > 100 and not names - ids


def test_the_search_index_knows_the_front_door(site) -> None:
    index = (site / "searchindex.js").read_text()
    assert "MIRegularizer" in index and "mist_mi" in index and "copula" in index


def test_pages_fit_phones_and_say_so(pages) -> None:
    for path, page in pages.items():
        assert "width=device-width" in page.meta.get("viewport", ""), path


def test_formulas_need_no_script(site) -> None:
    assert "<math" in (site / "copula.html").read_text()
    assert not list(site.rglob("*athjax*.js"))


def test_every_page_of_the_documentation_is_on_the_site(site) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert (
            f'href="{page.stem}.html"' in (site / "index.html").read_text() or page.stem == "index"
        )


def test_tables_are_those_of_the_records(site) -> None:
    made = sorted((ROOT / "docs/generated/tables").glob("*.md"))
    assert made
    for table in made:
        assert table.read_text() == (ROOT / "benchmarks/tables" / table.name).read_text(), (
            table.name
        )


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """The site, served on this machine."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def browse(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What a headless Chromium makes of a page, with its console on the standard error."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--enable-logging=stderr", "--v=0", "--virtual-time-budget=10000"]  # fmt: skip
    return subprocess.run([*command, *options, url], capture_output=True, text=True, timeout=120)


@needs_browser
@pytest.mark.parametrize("page", ["index.html", "copula.html", "generated/api/front.html"])
def test_pages_load_without_console_errors(address, page) -> None:
    done = browse(f"{address}/{page}", "--dump-dom")
    assert "torchmist" in done.stdout
    assert not re.findall(r"CONSOLE.*", done.stderr)


@needs_browser
def test_the_search_finds_the_regularizer(address) -> None:
    dom = browse(f"{address}/search.html?q=MIRegularizer", "--dump-dom").stdout
    results = dom[dom.index('id="search-results"') :]
    assert "torchmist.MIRegularizer" in results and "front.html#torchmist.MIRegularizer" in results


CONTRAST = """
const parse = text => text.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(
  v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const behind = (e, view) => { for (; e; e = e.parentElement) {
  const c = parse(view.getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0.5) return c } return [255, 255, 255] };
const ratio = (e, view) => { const [a, b] = [
  light(parse(view.getComputedStyle(e).color)), light(behind(e, view))].sort((p, q) => q - p);
  return (a + 0.05) / (b + 0.05) };
onload = () => { const out = [];
  for (const theme of ["light", "dark"]) for (const f of document.querySelectorAll("iframe")) {
    const page = f.contentDocument, view = f.contentWindow;
    page.body.dataset.theme = theme;
    const parts = [...page.querySelectorAll("article :is(p, li, td, th, h1, h2, a, code)")];
    const seen = parts.filter(e => e.textContent.trim() && e.getClientRects().length);
    const least = Math.min(...seen.map(e => ratio(e, view)));
    const back = light(behind(page.querySelector("article"), view));
    out.push([theme, f.getAttribute("src"), seen.length, back, least].join(" "));
  } document.title = out.join(";") }
"""
"""Of each page in each theme: parts with text, luminance behind them, least contrast (WCAG 2)."""


@needs_browser
def test_text_can_be_read_in_light_and_in_dark(address, site) -> None:
    pages = ["index.html", "benchmarks.html", "copula.html", "generated/api/front.html"]
    frames = "".join(f'<iframe width="1200" height="800" src="{p}"></iframe>' for p in pages)
    (site / "themes.html").write_text(f"<title>-</title>{frames}<script>{CONTRAST}</script>")
    dom = browse(f"{address}/themes.html", "--dump-dom").stdout
    (site / "themes.html").unlink()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    rows = [row.split() for row in title[1].split(";")]
    assert len(rows) == 2 * len(pages)
    for theme, page, parts, luminance, contrast in rows:
        assert int(parts) > 10 and (float(luminance) < 0.1) == (theme == "dark"), (theme, page)
        assert float(contrast) >= 4.5, (theme, page, contrast)


@needs_browser
def test_a_phone_does_not_scroll_sideways(address, site) -> None:
    pages = [
        "index.html",
        "benchmarks.html",
        "kinds.html",
        "copula.html",
        "generated/api/front.html",
    ]
    frames = "".join(f'<iframe width="{PHONE}" height="640" src="{p}"></iframe>' for p in pages)
    script = (
        "onload = () => { document.title = [...document.querySelectorAll('iframe')].map("
        "f => f.contentDocument.documentElement.scrollWidth).join(' ') }"
    )
    (site / "phone.html").write_text(f"<title>-</title>{frames}<script>{script}</script>")
    dom = browse(f"{address}/phone.html", "--dump-dom").stdout
    (site / "phone.html").unlink()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    widths = [int(w) for w in title[1].split()]
    assert len(widths) == len(pages) and max(widths) <= PHONE, dict(zip(pages, widths))
