"""An instance that makes every web request a connection which gives back what it is given."""

import os
import socket
import threading


def serve(stream: socket.socket) -> None:
    with stream:
        head = b""
        while b"\r\n\r\n" not in head:
            part = stream.recv(4096)
            if not part:
                return
            head += part
        if head.startswith(b"GET /health "):
            stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        if not head.startswith(b"GET /web/"):
            stream.sendall(b"HTTP/1.1 404 -\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        stream.sendall(b"HTTP/1.1 101 -\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while part := stream.recv(4096):
            stream.sendall(part)


listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["PICOFAAS_SOCKET"])
listener.listen()
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
