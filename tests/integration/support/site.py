"""A small web site over TLS under two names, for what a browser may reach and what it must survive."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .authority import Authority

HERE, ELSEWHERE = "localhost", "127.0.0.1"


class Site:
    """A site with two names, a redirect from one to the other, and a file to download."""

    def __init__(self, authority: Authority) -> None:
        certificate, key = authority.issue("site")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        seen: list[str] = []
        self.seen = seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers["Host"]
                seen.append(host.split(":")[0] + self.path)
                if self.path == "/away":
                    self.send_response(302)
                    self.send_header("Location", f"https://{ELSEWHERE}:{host.split(':')[1]}/secret")
                else:
                    self.send_response(200)
                self.send_header("Content-Type", "text/html")
                if self.path == "/file":
                    self.send_header("Content-Disposition", "attachment; filename=file.bin")
                self.end_headers()
                self.wfile.write(b"<title>here</title><p>A page</p>")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self, path: str = "/", host: str = HERE) -> str:
        return f"https://{host}:{self.port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
