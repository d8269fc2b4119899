"""A real Chromium for tests, and people who use it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def find_chromium() -> str | None:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (MACOS if os.path.exists(MACOS) else None)


def chromium_or_skip() -> str:
    """The path of Chromium. If there is none, skips the test, or fails it with REQUIRE_BROWSER=1."""
    found = find_chromium()
    if found is None:
        reason = "no Chromium found (looked for: " + ", ".join(NAMES) + ")"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_or_skip(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """A signed-in person with a browser context of their own."""

    def __init__(
        self, browser: Browser, address: str, email: str, password: str, home: str = "/", **context: object
    ) -> None:
        self.address = address
        self.home = home  # their tenancy's main menu
        self.page: Page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
        self.page.set_default_timeout(15_000)
        self.go("/accounts/login/")
        self.page.fill("[name=login]", email)
        self.page.fill("[name=password]", password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/accounts/login" not in url)

    def go(self, path: str) -> int:
        """Open a path; returns the status of the response."""
        response = self.page.goto(self.address + path)
        assert response is not None
        return response.status

    def click(self, name: str, role: str = "link") -> None:
        self.page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]

    def has_link(self, name: str) -> bool:
        self.page.wait_for_load_state()
        return self.page.get_by_role("link", name=name, exact=True).count() > 0

    def sees(self, text: str) -> bool:
        self.page.wait_for_load_state()
        return self.page.get_by_text(text).first.is_visible()
