"""JupyterLab as a person uses it: a real server and its kernels, and headless Chromium, driven by keys and clicks."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from ml_secrets.testing.programs import free_port

PATIENCE = 60
BROWSER, DRIVER = "chromium", "chromedriver"
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosaveInterval": 1},
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
}
_OUTPUT = ".jp-OutputArea-output"
_STORED = """
const done = arguments[arguments.length - 1];
const request = promise => new Promise((yes, no) => { promise.onsuccess = () => yes(promise.result); promise.onerror = no; });
(async () => {
  const found = {local: {...localStorage}, session: {...sessionStorage}, cookies: document.cookie, databases: {}, caches: []};
  for (const {name} of await indexedDB.databases()) {
    const database = await request(indexedDB.open(name));
    for (const store of database.objectStoreNames)
      found.databases[name + '/' + store] = await request(database.transaction(store).objectStore(store).getAll());
    database.close();
  }
  for (const name of await caches.keys())
    for (const kept of await (await caches.open(name)).keys()) found.caches.push(kept.url);
  return JSON.stringify(found);
})().then(done, error => done('error: ' + error));
"""


def needs_a_browser():
    """Skip where Debian's Chromium, or what drives it, is not there."""
    for program in (BROWSER, DRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install chromium chromium-driver")


class Lab:
    """A JupyterLab that serves `folder`; everything it keeps, and its log, is below `home`."""

    def __init__(self, folder, home, **environ):
        self.folder, self.home, self.port = folder, home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "lab.log"
        for name, settings in SETTINGS.items():
            place = home / "settings" / f"{name}.jupyterlab-settings"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(settings))
        places = {
            "HOME": home,
            "IPYTHONDIR": home / "ipython",
            "JUPYTER_CONFIG_DIR": home / "config",
            "JUPYTER_DATA_DIR": home / "data",
            "JUPYTER_RUNTIME_DIR": home / "runtime",
            "JUPYTERLAB_SETTINGS_DIR": home / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        }
        self._environ = {**os.environ, **{name: str(place) for name, place in places.items()}, **environ}
        self._environ.pop("PYTEST_CURRENT_TEST", None)  # kernels leave their pipes alone where they see it
        self._process = None

    def __enter__(self):
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--debug"]
        command += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.root_dir={self.folder}", "--IdentityProvider.token="]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """As Ctrl-C twice: kernels are shut down."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()

    def kernels(self):
        """The ids of those that run."""
        with urllib.request.urlopen(f"{self.url}/api/kernels", timeout=PATIENCE) as answer:
            return [kernel["id"] for kernel in json.load(answer)]

    def _wait(self):
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return urllib.request.urlopen(f"{self.url}/api", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"JupyterLab did not start: {self.log.read_text()[-3000:]}")


class Browser:
    """One window of headless Chromium, with a profile of its own."""

    def __init__(self, profile):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which(BROWSER)
        for word in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-dev-shm-usage",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "password-store=basic",
            "window-size=1400,3000",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{word}")
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which(DRIVER)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def keys(self, *keys):
        """Press them, one after another, on whatever has the focus."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, *held, key):
        """Press a key with others held down."""
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.driver)
        for each in held:
            chain = chain.key_down(each)
        chain = chain.send_keys(key)
        for each in reversed(held):
            chain = chain.key_up(each)
        chain.perform()

    def until(self, holds, what):
        """Wait until it holds, and give it."""
        from selenium.common import NoSuchElementException, StaleElementReferenceException

        for _ in range(PATIENCE * 20):  # looks, not seconds: on a machine that stands still nothing is late
            try:
                if found := holds():
                    return found
            except (NoSuchElementException, StaleElementReferenceException):
                pass
            time.sleep(0.05)
        raise AssertionError(f"never: {what}")

    def all(self, selector):
        """The elements that fit, in the notebook that is shown."""
        return self.driver.find_elements("css selector", selector)

    def the(self, selector):
        """The one that fits, once it is there."""
        return self.until(lambda: self.all(selector), selector)[0]

    def stored(self):
        """Everything that the page keeps in this browser, as text."""
        return self.driver.execute_async_script(_STORED)


class Notebook:
    """A notebook opened in JupyterLab."""

    def __init__(self, browser, lab, name):
        self.browser, self.path = browser, lab.folder / name
        browser.driver.get(f"{lab.url}/lab/tree/{name}?reset")
        whole = json.loads(self.path.read_text())["cells"]
        browser.until(lambda: len(browser.all(".jp-Notebook .jp-Cell")) == len(whole), "opened")
        browser.until(lambda: not browser.all(".jp-Spinner"), "loaded")
        self.idle()

    def idle(self):
        """Wait until the kernel has nothing to do."""
        self.browser.the('.jp-Notebook-ExecutionIndicator[data-status="idle"]')

    def cells(self):
        """The cells of code, as they are shown."""
        return self.browser.all(".jp-Notebook .jp-CodeCell")

    def run(self, number, typed=None):
        """Run a cell by Shift+Enter, answer its prompt with what is `typed`; gives its output as text, once it is done."""
        from selenium.webdriver import Keys

        cell = self.cells()[number]
        self._select(cell)
        self.browser.driver.execute_script("arguments[0].textContent = 'before'", self._prompt(cell))
        self.browser.chord(Keys.SHIFT, key=Keys.ENTER)
        if typed is not None:
            box = self.browser.the("input.jp-Stdin-input")
            assert box.get_attribute("type") == "password"
            self.browser.keys(typed, Keys.ENTER)
        done = lambda: re.fullmatch(r"\[\d+\]:", self._prompt(self.cells()[number]).text)
        self.browser.until(done, f"done: cell {number}")
        self.idle()
        return self.output(number)

    def complete(self, text):
        """Type into a new cell at the end, press Tab; gives what is offered, or the line once a single offer was taken."""
        from selenium.webdriver import Keys

        self._select(self.cells()[-1])
        self.browser.keys("b", Keys.ENTER, text)
        line = lambda: self.cells()[-1].find_element("css selector", ".cm-content").text
        typed = self.browser.until(line, f"typed: {text}")
        self.browser.keys(Keys.TAB)
        shown = lambda: [one.text for one in self.browser.all(".jp-Completer-item") if one.text]
        found = self.browser.until(
            lambda: shown() or ([line()] if line() != typed else []), f"completed: {text}"
        )
        self.browser.keys(Keys.ESCAPE, Keys.ESCAPE)
        return found

    def output(self, number):
        """What a cell shows."""
        parts = lambda: self.cells()[number].find_elements("css selector", _OUTPUT)
        return self.browser.until(lambda: ["\n".join(one.text for one in parts())], "output")[0]

    def _prompt(self, cell):
        return cell.find_element("css selector", ".jp-InputArea-prompt")

    def _select(self, cell):
        from selenium.webdriver import Keys

        self.browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
        self._prompt(cell).click()
        self.browser.keys(Keys.ESCAPE)

    def save(self, text):
        """By Ctrl+S; waits until the file has this text."""
        from selenium.webdriver import Keys

        self.browser.chord(Keys.CONTROL, key="s")
        self.browser.until(lambda: text in self.path.read_text(), f"saved: {text}")

    def restart(self):
        """By the keys 0 0, and Enter where it asks."""
        from selenium.webdriver import Keys

        self._select(self.cells()[0])
        self.browser.keys("0", "0")
        self.browser.the(".jp-Dialog .jp-mod-accept")
        self.browser.keys(Keys.ENTER)
        self.browser.until(lambda: not self.browser.all(".jp-Dialog"), "restarted")
        self.idle()

    def text(self):
        """The whole page, with what is only in its markup."""
        return self.browser.driver.execute_script(
            "return document.documentElement.outerHTML + '\\n' + document.body.innerText"
            " + '\\n' + [...document.querySelectorAll('input,textarea')].map(one => one.value).join('\\n')"
        )
