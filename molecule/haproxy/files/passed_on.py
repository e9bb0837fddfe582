"""Asks the front door from an address, with a line of the PROXY protocol first, or without one.

passed_on.py ADDRESS PATH TIMES [LINE]; prints a list of {"status": n, "headers": {...}} or {"error": "..."}.
"""

import http.client
import json
import socket
import ssl
import sys

address, path, times, line = sys.argv[1], sys.argv[2], int(sys.argv[3]), "".join(sys.argv[4:])
context = ssl.create_default_context(cafile="/etc/ssl/composer/authority.crt")


def ask():
    plain = socket.create_connection(("127.0.0.1", 443), timeout=10, source_address=(address, 0))
    connection = http.client.HTTPConnection("localhost")
    try:
        if line:
            plain.sendall((line + "\r\n").encode())
        plain = connection.sock = context.wrap_socket(plain, server_hostname="localhost")
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return {
            "status": answer.status,
            "headers": {name.lower(): value for name, value in answer.getheaders()},
        }
    except (OSError, http.client.HTTPException) as error:
        return {"error": repr(error)}
    finally:
        plain.close()


print(json.dumps([ask() for _ in range(times)]))
