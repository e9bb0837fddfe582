"""Serves this folder over TLS with the host's certificate."""

import functools
import http.server
import ssl

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/ssl/composer/host.crt", "/etc/ssl/composer/host.key")
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/opt/page")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
