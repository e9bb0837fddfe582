"""Publishes the keys of issuers over TLS, as OpenBao does: /NAME is what was published as NAME."""

import http.server
import pathlib
import ssl


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (pathlib.Path("/opt/around/issuer") / (pathlib.Path(self.path).name + ".json")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/ssl/composer/host.crt", "/etc/ssl/composer/host.key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8200), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
