# SPDX-License-Identifier: Apache-2.0
"""A TCP forwarder: a port that stays while what is behind it goes, is cut, or hears nothing any more."""

import contextlib
import socket
import threading

from .listener import Listener


class Forwarder:
    """Listens on 127.0.0.1 and connects each connection to `target`, which may change at any time."""

    host = Listener.host

    def __init__(self, target):
        self.target, self.count, self._open, self._mute = target, 0, {}, set()
        self._lock = threading.Lock()
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self.cut()

    @property
    def url(self):
        """The address a client is told."""
        return f"https://{self.host}:{self.port}"

    def mute(self, number):
        """From now on nothing of what the client says on connection `number`, from 0, arrives."""
        with self._lock:
            self._mute.add(number)

    def cut(self, number=None):
        """Ends connection `number`, from 0, or every one."""
        with self._lock:
            chosen = [key for key in self._open if number in (None, key)]
            made = [each for key in chosen for each in self._open.pop(key)]
        for each in made:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client):
        with self._lock:
            number, self.count = self.count, self.count + 1
        with client, contextlib.suppress(OSError), socket.create_connection(self.target, 10) as server:
            server.settimeout(None)
            with self._lock:
                self._open[number] = (client, server)
            back = threading.Thread(target=self._pump, args=(server, client, None, number), daemon=True)
            back.start()
            self._pump(client, server, number)
            back.join()

    def heard(self, number, piece):
        """What the target says on connection `number`, before it is passed on: for whoever wants to know."""

    def _pump(self, source, sink, number, back=None):
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if back is not None:
                    self.heard(back, piece)
                with self._lock:
                    is_mute = number in self._mute
                if not is_mute:
                    sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
