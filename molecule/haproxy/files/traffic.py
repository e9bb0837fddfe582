"""Makes calls through the gateway from several callers at once; runs a command when a third of them are done.

Prints {"calls": n, "failed": [...], "by_host": {...}}.
"""

import collections
import http.client
import json
import ssl
import subprocess
import sys
import threading

CALLERS, CALLS_EACH = 8, 40
context = ssl.create_default_context(cafile="/etc/ssl/composer/authority.crt")
lock = threading.Lock()
done, failed, by_host = [0], [], collections.Counter()
third = threading.Event()


def caller(number):
    words = [
        sys.executable,
        "/opt/around/make_token.py",
        json.dumps([{"claims": {"sub": f"{sys.argv[1]}-{number}"}}]),
    ]
    token = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    headers = {"Host": "composer.lab.test", "Authorization": "Bearer " + token}
    connection = http.client.HTTPSConnection("localhost", 443, timeout=20, context=context)
    for _ in range(CALLS_EACH):
        try:
            connection.request("POST", "/mcp", body="{}", headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            events = [
                json.loads(part[6:]) for part in body.strip().split("\n\n") if part.startswith("data: ")
            ]
            problem = None if answer.status == 200 and len(events) == 3 else f"{answer.status} {body[:200]}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem, events = repr(error), []
            connection.close()
        with lock:
            done[0] += 1
            if problem:
                failed.append(problem)
            else:
                by_host[events[0]["host"]] += 1
            if done[0] >= CALLERS * CALLS_EACH // 3:
                third.set()


threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
for thread in threads:
    thread.start()
third.wait(60)
subprocess.run(sys.argv[2:], check=True)
for thread in threads:
    thread.join(60)
print(json.dumps({"calls": done[0], "failed": failed, "by_host": by_host}))
