"""Prints what a page looks like, or says: python3 look.py <address> picture|<expression> <browser> ...

Speaks the browser's own protocol over its two pipes, which needs nothing that a bare host lacks. What is
asked is what the server asks for a preview: a page of a given size, its fonts loaded, and then its picture.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

SIZE = {"width": 1280, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
DRAWN = "document.fonts.ready.then(() => new Promise(d => requestAnimationFrame(() => setTimeout(d))))"


class Browser:
    """A browser that is asked over a pair of pipes; the unit's limit ends one that does not answer."""

    def __init__(self, command, profile):
        told, self._tell = os.pipe()
        self._hear, heard = os.pipe()
        # The browser reads from 3 and writes to 4, whatever the pipes are called here.
        line = ["/bin/sh", "-c", f'exec 3<&{told} 4>&{heard}; exec "$@"', "sh", *command]
        line += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(line, pass_fds=(told, heard), stdout=sys.stderr)
        os.close(told)
        os.close(heard)
        self._answers = os.fdopen(self._hear, "rb")
        self._rest = b""
        self._number = 0

    def ask(self, method, session=None, **arguments):
        self._number += 1
        question = {"id": self._number, "method": method, "params": arguments}
        if session:
            question["sessionId"] = session
        os.write(self._tell, json.dumps(question).encode() + b"\0")
        return self.wait(lambda message: message.get("id") == self._number)["result"]

    def wait(self, wanted):
        while True:
            line, found, self._rest = self._rest.partition(b"\0")
            if not found:
                more = self._answers.read1(1 << 20)
                if not more:
                    raise SystemExit("the browser ended")
                self._rest = line + more
            elif wanted(message := json.loads(line)):
                return message


def main():
    address, wanted, *command = sys.argv[1:]
    profile = tempfile.mkdtemp()
    browser = Browser(command, profile)
    target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    page = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.ask("Page.enable", page)
    browser.ask("Emulation.setDeviceMetricsOverride", page, **SIZE)
    browser.ask("Page.navigate", page, url=address)
    browser.wait(lambda message: message.get("method") == "Page.loadEventFired")
    browser.ask("Runtime.evaluate", page, expression=DRAWN, awaitPromise=True)
    if wanted == "picture":
        found = browser.ask("Page.captureScreenshot", page, format="png")["data"]
    else:
        found = browser.ask(
            "Runtime.evaluate", page, expression=wanted, awaitPromise=True, returnByValue=True
        )
        found = json.dumps(found.get("exceptionDetails") or found["result"].get("value"))
    print("found:" + found)
    browser.ask("Browser.close")
    browser.process.wait()
    shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    main()
