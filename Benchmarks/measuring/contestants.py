# SPDX-License-Identifier: Apache-2.0
"""The relays that are measured, each behind the same three calls: start, halves, finish."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence

from .control import Identity, Session, encode
from .processes import Failure, Process, Processes, free_port, wait_for_tls

PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")


class Certificates:
    """Paths of what certs/make wrote."""

    def __init__(self, directory: str) -> None:
        self.ca = os.path.join(directory, "ca.pem")
        self.certificate = os.path.join(directory, "server.pem")
        self.key = os.path.join(directory, "server.key")
        self.both = os.path.join(directory, "server-and-key.pem")
        with open(os.open(self.both, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for path in (self.certificate, self.key):
                with open(path, "rb") as part:
                    file.write(part.read())


class Halves:
    """How the load tools reach a relay for one stream: a port and a request's head each, or a port to listen on."""

    def __init__(
        self,
        source_port: int,
        source_head: str | Callable[[], str] | None = None,
        sink_port: int | None = None,
        sink_head: str | None = None,
        sink_listens: bool = False,
    ) -> None:
        self.source_port = source_port
        self.source_head = source_head
        self.sink_port = sink_port if sink_port is not None else source_port
        self.sink_head = sink_head
        self.sink_listens = sink_listens


def request(method: str, path: str, port: int, *fields: str) -> str:
    """The head of an HTTP/1.1 request that ends its connection."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *fields)
    return "\r\n".join(lines) + "\r\n\r\n"


class Contestant:
    """One relay process. `process` and `version` are set by `start`."""

    name = ""
    library = ""
    version: str
    process: Process

    def __init__(self, directory: str, certificates: Certificates) -> None:
        self.directory = directory
        self.certificates = certificates
        self.port = free_port()

    def start(self, processes: Processes) -> None:
        """Starts the relay and returns once it listens."""

    def halves(self, count: int) -> Halves:
        """What the load tools need for a stream of `count` bytes."""
        raise NotImplementedError

    def finish(self, count: int) -> None:
        """Called after a stream has been verified."""

    def _launch(self, processes: Processes, command: Sequence[str]) -> None:
        self.process = processes.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_tls(self.port, self.certificates.ca, self.process, self.name)

    def _render(self, template: str, **values: object) -> str:
        with open(os.path.join(PEERS, template), encoding="utf-8") as file:
            text = file.read()
        values.update(
            PORT=self.port,
            CERT=self.certificates.certificate,
            KEY=self.certificates.key,
            BOTH=self.certificates.both,
            CA=self.certificates.ca,
            DIR=self.directory,
        )
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = os.path.join(self.directory, template.removesuffix(".in"))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Pipe(Contestant):
    """A TCP proxy that opens a connection to the sink for each connection from the source."""

    def __init__(self, directory: str, certificates: Certificates) -> None:
        super().__init__(directory, certificates)
        self.sink_port = free_port()

    def halves(self, count: int) -> Halves:
        return Halves(self.port, sink_port=self.sink_port, sink_listens=True)


class HAProxy(Pipe):
    """HAProxy in mode tcp."""

    name = "HAProxy"

    def start(self, processes: Processes) -> None:
        program = find("haproxy", "haproxy")
        about = output(program, "-vv")
        self.library = first(r"Running on OpenSSL version : (OpenSSL \S+)", about)
        self.version = first(r"version (\S+)", about)
        path = self._render("haproxy.cfg.in", SINK=self.sink_port)
        self._launch(processes, (program, "-db", "-q", "-f", path))


class Nginx(Pipe):
    """nginx with its stream module."""

    name = "nginx"

    def start(self, processes: Processes) -> None:
        program = find("nginx", "nginx")
        about = output(program, "-V")
        self.library = first(r"running with (OpenSSL \S+)", about) or first(r"built with (OpenSSL \S+)", about)
        self.version = first(r"nginx/(\S+)", about)
        module = ""
        if "--with-stream=dynamic" in about:
            folder = first(r"--modules-path=(\S+)", about) or "/usr/lib/nginx/modules"
            file = os.path.join(folder, "ngx_stream_module.so")
            if not os.path.exists(file):
                raise Failure("nginx has no stream module here; install libnginx-mod-stream")
            module = f"load_module {file};"
        path = self._render("nginx.conf.in", SINK=self.sink_port, MODULE=module)
        # -p and -e: with them nginx touches nothing outside the folder, also for root.
        self._launch(processes, (program, "-p", self.directory, "-e", "stderr", "-c", path))


class Node(Contestant):
    """Benchmarks/peers/relay.js."""

    name = "Node.js"

    def start(self, processes: Processes) -> None:
        program = find("node", "nodejs")
        self.version, self.library = output(program, "-p", "process.version+' '+process.versions.openssl").split()
        self.library = f"OpenSSL {self.library} (Node's own)" if is_bundled(program) else f"OpenSSL {self.library}"
        script = os.path.join(PEERS, "relay.js")
        certificates = self.certificates
        self._launch(processes, (program, script, str(self.port), certificates.certificate, certificates.key))

    def halves(self, count: int) -> Halves:
        source = request("PUT", "/upload", self.port, f"Content-Length: {count}")
        return Halves(self.port, source, sink_head=request("GET", "/download", self.port))


class Relay(Contestant):
    """relay-server, by /upload and /download with tokens from a real offer."""

    name = "relay"
    sessions: tuple[Session, Session]
    transfer: str

    def __init__(self, directory: str, certificates: Certificates, program: str) -> None:
        super().__init__(directory, certificates)
        self.program = program
        self.version = "this tree"

    def start(self, processes: Processes) -> None:
        self.library = first(r"(OpenSSL \S+)", output("openssl", "version"))
        self._launch(processes, serve(self.program, self.port, self.directory, self.certificates))
        people = (Identity(self.directory, "alice"), Identity(self.directory, "bob"))
        alice, bob = (Session(self.port, self.certificates.ca, person) for person in people)
        self.sessions = alice, bob
        bob.send("presence", receiving=True)
        bob.expect("ok")

    def halves(self, count: int) -> Halves:
        alice, bob = self.sessions
        self.transfer = encode(os.urandom(16))
        alice.send("offer", to="bob", transfer=self.transfer, wait=True, payload=encode(b"{}"))
        bob.expect("ring", transfer=self.transfer)
        bob.send("accept", transfer=self.transfer, payload=encode(b"{}"))
        start = bob.expect("start", transfer=self.transfer, role="download")
        download = request("GET", start["url"], self.port, f"Authorization: Bearer {start['token']}")

        def upload() -> str:
            # The upload's token comes only when the download is attached.
            start = alice.expect("start", transfer=self.transfer, role="upload")
            bearer = f"Authorization: Bearer {start['token']}"
            return request("PUT", start["url"], self.port, bearer, f"Content-Length: {count}")

        return Halves(self.port, upload, sink_head=download)

    def finish(self, count: int) -> None:
        alice, bob = self.sessions
        bob.send("delivered", transfer=self.transfer, payload=encode(b"{}"))
        alice.expect("delivered", transfer=self.transfer)


def serve(program: str, port: int, directory: str, certificates: Certificates) -> list[str]:
    """The command that runs relay-server with open registration and its state in `directory`."""
    state = os.path.join(directory, "state")
    os.mkdir(state, 0o700)
    command = [program, "serve", "--listen", f"127.0.0.1:{port}", "--state-dir", state]
    command += ["--tls-cert", certificates.certificate, "--tls-key", certificates.key]
    return [*command, "--registration", "open", "--log-level", "warning", "--metrics-listen", "off"]


class Before(Relay):
    """relay-server of another commit."""

    name = "before"

    def __init__(self, directory: str, certificates: Certificates, program: str) -> None:
        super().__init__(directory, certificates, program)
        self.version = "another tree"


def find(program: str, package: str) -> str:
    """The path of `program`, also in the sbin folders that are not on every PATH."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise Failure(f"{program} is not here; install {package}")
    return path


def output(*command: str) -> str:
    """Everything the command prints."""
    return subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
    ).stdout


def first(pattern: str, text: str) -> str:
    """The first match's first group, or an empty string."""
    match = re.search(pattern, text)
    return match.group(1) if match else ""


def is_bundled(program: str) -> bool:
    """Whether the program brings its TLS library along instead of using the system's."""
    return "libssl" not in output("ldd", program)
