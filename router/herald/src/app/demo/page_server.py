"""Serves the folder argv[1] at the address argv[2] and port argv[3]; says "ready" once it listens."""

import functools
import http.server
import socket
import socketserver
import sys

folder, address, port = sys.argv[1:]


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def server_bind(self):
        # HTTPServer's own looks up a name for the address, and that question would cross the cluster, too.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
with Server((address, int(port)), handler) as server:
    print("ready", flush=True)
    server.serve_forever()
