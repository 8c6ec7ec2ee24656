"""Looks at the built site: no dead link, no missing anchor, nothing loaded from elsewhere.

`zensical build --strict` checks links between Markdown pages. This reads what a browser would, so
it also sees the navigation, generated pages, files and scripts.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parent.parent / "site"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
LOADED_BY_LINK = {"stylesheet", "icon", "preload", "preconnect", "manifest"}


class Page(HTMLParser):
    """A page's anchors, the addresses it links to, and those a browser loads with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down what a tag names or points to."""
        values = {name: value for name, value in attrs if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])
        elif tag == "link" and LOADED_BY_LINK & set(values.get("rel", "").split()):
            self.loaded.append(values["href"])


def find_problems(site: Path) -> list[str]:
    """One line for every link that leads nowhere and everything that another host serves."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    pages.pop(site / "404.html", None)  # its addresses are those of a site at the root of a host
    problems = []
    for path, page in sorted(pages.items()):
        problems += [f"{path}: loads {url}" for url in page.loaded if urlsplit(url).netloc]
        problems += [
            f"{path}: leads nowhere: {url}"
            for url in [*page.links, *page.loaded]
            if not _leads_somewhere(url, path, pages)
        ]
    return problems


def _leads_somewhere(url: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or target not in pages or anchor in pages[target].anchors


if __name__ == "__main__":
    found = find_problems(SITE.resolve())
    print(*found, sep="\n")
    sys.exit(f"{len(found)} problems in {SITE}" if found else None)
