"""Owns a headless Chromium that looks at the dashboard: what it shows, what it complains of, and what axe finds.

It is Debian's, driven by its chromedriver. Pictures of pages are written into $SHUTTLE_PICTURES where that is set.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from .wait import eventually

ROOT = Path(__file__).resolve().parents[3]
#: A page is drawn by another program, on a machine that may be busy.
SECONDS = 40.0

#: Before any script of the page: what it does wrong without saying so on the console, and what it asks for.
WATCH = """
window.faults = [];
addEventListener("securitypolicyviolation", (event) => faults.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
addEventListener("unhandledrejection", (event) => faults.push(`rejection: ${event.reason}`));
addEventListener("error", (event) => faults.push(`error: ${event.message}`));
window.asked = [];
const given = window.fetch;
window.fetch = (target, ...rest) => {
  asked.push({ path: String(target).split("?")[0], at: performance.now() });
  return given(target, ...rest);
};
"""


def _program(*names: str) -> str:
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise FileNotFoundError(f"none of {', '.join(names)} is installed: run scripts/setup test")


def axe_source() -> str:
    found = sorted((ROOT / ".build" / "checkers").glob("lib/python*/site-packages/axe_playwright_python/axe.min.js"))
    if not found:
        raise FileNotFoundError("axe is not in .build/checkers: run scripts/setup test")
    return found[0].read_text()


class Browser:
    """One window; what a test brings about by itself goes into `tolerated`, as parts of messages."""

    def __init__(self, width: int = 1400, height: int = 1000) -> None:
        self._directory = tempfile.mkdtemp(prefix="shuttle-browser-")
        options = Options()
        options.binary_location = _program("chromium", "chromium-browser", "google-chrome")
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--no-first-run", "--no-proxy-server", f"--user-data-dir={self._directory}",
            # Certificates of tests are known to nobody, and names to no server.
            "--ignore-certificate-errors", "--host-resolver-rules=MAP *.example 127.0.0.1",
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(_program("chromedriver")), options=options)
        self.driver.set_script_timeout(SECONDS * 3)
        self.tolerated: list[str] = []
        self._said: list[str] = []
        self._command("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.size(width, height)

    def close(self) -> None:
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self, name: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, arguments)

    # The window

    def size(self, width: int, height: int, mobile: bool = False) -> None:
        self._command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, scheme: str) -> None:
        """As if the person preferred `light` or `dark`."""
        self._command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        self.driver.get(url)

    def picture(self, name: str) -> None:
        folder = os.environ.get("SHUTTLE_PICTURES")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    # What is there

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first that is seen; waits for it."""
        return self.wait(lambda: self.seen(selector), f"{selector} is there")[0]

    def seen(self, selector: str) -> list[WebElement]:
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]

    def text(self, selector: str = "body") -> str:
        return " ".join(str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)).split())

    def wait(self, condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = SECONDS) -> Any:
        """Elements that are replaced while they are looked at are looked for again."""

        def tried() -> Any:
            try:
                return condition()
            except StaleElementReferenceException:
                return None

        return eventually(tried, what, seconds)

    def wait_text(self, text: str, selector: str = "body") -> None:
        self.wait(lambda: text in self.text(selector), lambda: f"{text!r} is in {selector}: {self.text(selector)!r}")

    def click(self, selector: str) -> None:
        self._click(lambda: self.find(selector), selector)

    def click_button(self, text: str, within: str = "body") -> None:
        self._click(lambda: self.button(text, within), text)

    def _click(self, found: Callable[[], WebElement], what: str) -> None:
        """The page may draw it anew between finding and clicking."""

        def clicked() -> bool:
            try:
                found().click()
            except StaleElementReferenceException:
                return False
            return True

        self.wait(clicked, f"{what} can be clicked")

    def button(self, text: str, within: str = "body") -> WebElement:
        """A button by what it says, its hidden part included."""
        script = """
            return [...document.querySelector(arguments[1]).querySelectorAll("button")]
                .find((button) => button.textContent.trim() === arguments[0] && button.offsetParent !== null) ?? null
        """
        return self.wait(lambda: self.run(script, text, within), f"there is a button {text!r} in {within}")

    # The keyboard

    def press(self, *keys: str) -> None:
        """To what has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def focused(self) -> str:
        """What has the focus, in words."""
        return " ".join(
            str(self.run("const e = document.activeElement; return e.getAttribute('aria-label') ?? (e.labels?.[0] ?? e).textContent.trim()")).split()
        )

    def tab_to(self, text: str, presses: int = 200) -> list[str]:
        """Presses the tabulator until something that says `text` has the focus; returns what had it on the way."""
        passed: list[str] = []
        for _ in range(presses):
            self.press(Keys.TAB)
            passed.append(self.focused())
            if passed[-1] == text:
                return passed
        raise AssertionError(f"the tabulator leads nowhere to {text!r}: {passed}")

    # Complaints

    def complaints(self) -> list[str]:
        """What the console has said that is wrong, and what went wrong without it."""
        self._said += [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        try:
            faults = [str(fault) for fault in self.run("return window.faults ?? []")]
        except WebDriverException as error:
            faults = [f"the page is gone: {error}"]
        return [said for said in self._said + faults if not any(part in said for part in self.tolerated)]

    def check(self) -> None:
        assert self.complaints() == []

    def axe(self) -> list[str]:
        """What is not accessible in what is shown now; one line for each rule and element."""
        # Not as a script of the page, whose policy would not let it in.
        self._command("Runtime.evaluate", expression=axe_source())
        result = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(done, (error) => done({failure: String(error)}));"
        )
        assert "violations" in result, result
        assert len(result["passes"]) > 5, "axe has looked at the page"
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for violation in result["violations"]
            for node in violation["nodes"]
        ]
