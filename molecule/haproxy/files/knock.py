"""Knocks at the front door until nobody opens: its health page and a call, each on a connection of its own.

Prints {"health": [[seconds, status], ...], "calls": [...]}: 0 for a refused connection, an error's name
for anything else. A call of before is under way all the time; "slow" is how it ended.
"""

import http.client
import json
import ssl
import subprocess
import sys
import threading
import time

LIMIT_SECONDS, PACE_SECONDS = 60, 0.5
context = ssl.create_default_context(cafile="/etc/ssl/composer/authority.crt")
wanted = [{"claims": {"sub": "knock"}}]
words = [sys.executable, "/opt/around/make_token.py", json.dumps(wanted)]
token = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
headers = {"Host": "composer.lab.test", "Authorization": "Bearer " + token}
began = time.monotonic()
gone = threading.Event()
seen = {"health": [], "calls": [], "slow": None}


def ask(method, path, body=None):
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=20, context=context)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except ConnectionRefusedError:
        return 0
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


def slow():
    """The last byte of its body comes when the door has closed for others."""
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=20, context=context)
    connection.putrequest("POST", "/mcp", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "4")
    connection.endheaders()
    connection.send(b"{  ")
    gone.wait(LIMIT_SECONDS)
    try:
        connection.send(b"}")
        answer = connection.getresponse()
        answer.read()
        seen["slow"] = answer.status
    except (OSError, http.client.HTTPException) as error:
        seen["slow"] = repr(error)


under_way = threading.Thread(target=slow)
under_way.start()
while not gone.is_set() and time.monotonic() - began < LIMIT_SECONDS:
    for kind, question in {"health": ("GET", "/health/ready"), "calls": ("POST", "/mcp", "{}")}.items():
        at = round(time.monotonic() - began, 2)
        status = ask(*question)
        seen[kind].append([at, status])
        if status == 0:
            gone.set()
            break
    # Slowly enough for the limits on callers.
    gone.wait(PACE_SECONDS)
gone.set()
under_way.join(LIMIT_SECONDS)
print(json.dumps(seen))
