"""A real Chromium on the pages, served by a real server in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application, served by a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=_ARGS)
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """What axe finds, each with where: all of it, then the contrast again in the dark."""
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    found += Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
    page.emulate_media(color_scheme="light")
    return [f"{v['id']}: {node['html'][:160]}" for v in found for node in v["nodes"]]


def too_wide(page: Page) -> list[str]:
    """What makes a page scroll sideways; tables scroll by themselves."""
    script = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
      [...document.querySelectorAll('main *, header *, footer *')]
        .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 120))"""
    found: list[str] = page.evaluate(script)
    return found


def focused(page: Page) -> str:
    """What has the focus: its text or name."""
    script = """() => { const e = document.activeElement;
      return (e.tagName === 'BUTTON' ? e.innerText : e.name || e.innerText || '').trim() }"""
    found: str = page.evaluate(script)
    return found


def tab_to(page: Page, what: str, most: int = 60) -> None:
    """Press Tab until something has the focus, and see that the focus shows."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == what:
            shown = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert shown != "none", what
            return
    raise AssertionError(f"no way to {what!r} by the keyboard")
