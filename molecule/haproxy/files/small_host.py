"""An application host in small: TLS with client certificates, readiness, answers in pieces."""

import http.server
import json
import pathlib
import signal
import ssl
import sys
import threading

NAME = sys.argv[1]
PORT = {"first": 8101, "second": 8102}[NAME]
TLS = "/etc/ssl/composer/"
PIECES = 3


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        ready = not pathlib.Path(f"/run/{NAME}-draining").exists()
        self.answer(200 if ready or self.path != "/health/ready" else 503, {"host": NAME})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in range(PIECES):
            threading.Event().wait(0.02)
            event = {"piece": piece, "host": NAME, "headers": dict(self.headers)}
            self.chunk(f"data: {json.dumps(event)}\n\n")
        self.chunk("")

    def chunk(self, text):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text.encode()))
        self.wfile.flush()

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        """The gateway's log is the one that is looked at."""


class Server(http.server.ThreadingHTTPServer):
    # Calls that are under way are finished before the process ends.
    daemon_threads = False

    def get_request(self):
        connection, address = super().get_request()
        connection.settimeout(10)
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        """A caller without a certificate is nothing to report."""


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(TLS + NAME + ".crt", TLS + NAME + ".key")
context.load_verify_locations(TLS + "authority.crt")
context.verify_mode = ssl.CERT_REQUIRED
server = Server(("127.0.0.1", PORT), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
server.server_close()
