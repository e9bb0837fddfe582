"""A certificate and its key as files: what is wrong with them, and how they take the place of others.

Used by the programs beside it. Needs openssl and nothing else.
"""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time
from datetime import UTC, datetime

DATES = ["openssl", "x509", "-noout", "-startdate", "-enddate", "-dateopt", "iso_8601", "-in"]
DAY_SECONDS = 86400


class Failed(Exception):
    """Something an operator has to look at."""


def run(*command, seconds=20, **given):
    """Run a program and return how it ended and what it said. Raises subprocess.TimeoutExpired."""
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **given)


def say(text):
    """To the journal, or to whoever called."""
    print(text, file=sys.stderr)


@contextlib.contextmanager
def turn(folder, seconds):
    """One run at a time: two would do the same twice. Another one is waited for, at most so long."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    with (folder / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failed(
                        f"Another run has not ended in {seconds} s. See what it waits for."
                    ) from None
                time.sleep(0.2)
        yield


def public_key(certificate, key):
    """The public key that both files have; empty when they do not belong together, or one cannot be read."""
    of_certificate = run("openssl", "x509", "-in", certificate, "-noout", "-pubkey")
    # No passphrase is asked for: nobody is here to type it.
    of_key = run("openssl", "pkey", "-in", key, "-pubout", "-passin", "pass:")
    if of_certificate.returncode or of_key.returncode or of_certificate.stdout != of_key.stdout:
        return ""
    return of_key.stdout


def dates(certificate):
    """When the first certificate of a file starts and ends. Raises Failed."""
    shown = run(*DATES, certificate)
    if shown.returncode != 0:
        raise Failed(f"openssl cannot read {certificate}: {shown.stderr.strip()}")
    told = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    return [
        datetime.strptime(told[which], "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
        for which in ("notBefore", "notAfter")
    ]


def is_address(name):
    """Whether it is an IP address, not a host's name."""
    return ":" in name or name.replace(".", "").isdigit()


def lacks(certificate, name):
    """Whether a certificate is not valid for a name or an address."""
    option = "-checkip" if is_address(name) else "-checkhost"
    return "does match" not in run("openssl", "x509", "-in", certificate, "-noout", option, name).stdout


def complaint(certificate, key, names=(), renew_days=0):
    """Why a pair will not do, as a part of a sentence; empty when it will.

    With `renew_days` it also has to last for so many days, or for a third of its life if that is shorter.
    """
    if not certificate.exists() or not key.exists():
        return "there is none yet"
    if not public_key(certificate, key):
        return "key and certificate do not belong together"
    missing = [name for name in names if lacks(certificate, name)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    start, end = dates(certificate)
    now = datetime.now(UTC)
    if now < start:
        return f"it is not valid before {start}"
    if end <= now:
        return f"it has expired on {end}"
    left = (end - now).total_seconds()
    if left < min(renew_days * DAY_SECONDS, (end - start).total_seconds() / 3):
        return f"it expires on {end}"
    return ""


def put(source, destination, mode, group=None):
    """Replace a file as a whole; a key is never readable by others. Says whether it differed."""
    content = source.read_bytes()
    if destination.exists() and destination.read_bytes() == content:
        return False
    new = destination.with_name(f".{destination.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(content)
        if group is not None:
            os.fchown(handle.fileno(), -1, group)
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    new.replace(destination)
    return True


def paths(settings, *names):
    """Some of the settings, as paths."""
    return [pathlib.Path(settings[name]) for name in names]
