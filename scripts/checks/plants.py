# SPDX-License-Identifier: Apache-2.0
"""Planted failures: for every check at least one change to the tree that it has to notice."""

import json
import os

from . import swift_rules

SPDX = "// SPDX-License-Identifier: Apache-2.0\n\n"
SERVER, CLIENT = "Sources/RelayServer/Planted", "Sources/RelayClientProgram/Planted"


def swift(body: str) -> str:
    """A Swift file around `body`."""
    return SPDX + body + "\n"


def long_function(lines: int) -> str:
    """A function of more lines than `lines`."""
    return "func planted() -> Int {\n" + "    let value = 1\n" * lines + "    return value\n}"


def machine(body: str, state: str = "var state = 1") -> str:
    """A machine: what makes it one is that its methods take events and return actions, not its name."""
    methods = "".join(
        f"    mutating func e{n}(_ event: Int) -> PlantedAction {{\n        {body}\n    }}\n" for n in range(3)
    )
    return f"/// Planted.\nstruct Planted {{\n    {state}\n{methods}}}"


def secret(kind: str) -> str:
    """Something that looks like a secret, put together here so that this file holds none."""
    return {
        "key": "-----BEGIN PRIVATE " + "KEY-----\n",
        "token": "Bearer " + "A1b2" * 11 + "\n",
        "url": "redis" + "://relay:" + "hunter2hunter2" + "@redis.example:6379\n",
    }[kind]


def manifest(target: str, dependency: str) -> str:
    """A Package.swift with the layers of relay-server, in which only `target` depends on anything: `dependency`."""
    declared = dict.fromkeys(swift_rules.LAYERS, "") | {target: f'"{dependency}"'}
    targets = (f'.target(name: "{name}", dependencies: [{listed}]),' for name, listed in declared.items())
    return swift("let package = Package(targets: [\n" + "\n".join(targets) + "\n])")


def bill(**changes: object) -> str:
    """packaging/components.json with something else in it."""
    component = {"licence": "MIT", "programs": ["relay-server"]}
    register: dict[str, object] = {
        "packages": {"planted": component},
        "runtime": {"name": "swift", "licence": "MIT"},
        "libraries": {},
        "advisories": [],
    }
    return json.dumps(register | changes) + "\n"


def known(fixed: str) -> list[dict[str, str]]:
    """An advisory about a package of Swift, in all versions before `fixed`."""
    return [
        {"package": "swift-log", "id": "CVE-0", "source": "X", "introduced": "0", "fixed": fixed, "about": "planted"}
    ]


def page(*changes: tuple[str, str]) -> str:
    """docs/architecture.md with something else in it: unchanged, and so no failure to find, where that is not there."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "docs/architecture.md"), encoding="utf-8") as file:
        text = file.read()
    for old, new in changes:
        text = text.replace(old, new, 1)
    return text


def configured(ruff: list[str], mypy: list[str]) -> str:
    """A pyproject.toml that names these files."""
    return f"[tool.ruff]\nextend-include = {json.dumps(ruff)}\n\n[tool.mypy]\nfiles = {json.dumps(mypy)}\n"


UNCHECKED = "    // SAFETY: planted\n    final class C{0}: @unchecked Sendable {{}}\n"

# (check, path, text of the file that is added there; for several files, the text of each by its path)
PLANTS: tuple[tuple[str, str, str | dict[str, str]], ...] = (
    ("format", SERVER + ".swift", swift("let  planted = 1")),
    ("format", SERVER + ".swift", swift("/// Planted.\nfunc planted(_ text: String?) -> String { text! }")),
    ("format", SERVER + ".swift", swift('let planted = "' + "x" * 120 + '"')),
    ("imports", "Sources/WSProtocol/Planted.swift", swift("import NIOPosix")),
    ("imports", "Sources/Pacing/Planted.swift", swift("import WSProtocol")),
    ("imports", "Sources/WSProtocol/Planted.swift", swift("package import FoundationEssentials")),
    ("imports", SERVER + ".swift", swift("private import COpenSSL")),
    ("imports", "Sources/TLSTransport/Planted.swift", swift("package import COpenSSL")),
    ("imports", "Sources/TLSTransport/Planted.swift", swift("import NIOHTTP1")),
    ("imports", CLIENT + ".swift", swift("private import CHiredis")),
    ("imports", SERVER + ".swift", swift("private import CHiredis")),
    ("imports", "Sources/RedisTransport/Planted.swift", swift("package import CHiredis")),
    ("imports", "Sources/RedisTransport/Planted.swift", swift("private import COpenSSL")),
    ("declared", SERVER + ".swift", swift("import NIOTLS")),
    (
        "declared",
        "Package.swift",
        swift('let package = Package(targets: [\n.target(name: "WSProtocol", dependencies: ["Planted"]),\n])'),
    ),
    ("declared", "Tests/RelayNodeTests/Planted.swift", swift("import NIOTLS")),
    ("layers", "Package.swift", manifest("RelayNode", "RelayCluster")),
    ("layers", "Package.swift", manifest("TransferBroker", "StreamRelay")),
    ("layers", "Package.swift", manifest("RelayNodeTests", "RelayCluster")),
    ("layers", "Sources/RelayServerProgram/Lifecycle/Planted.swift", swift("import RelayCluster")),
    ("imports", "Sources/TransferBroker/Planted.swift", swift("import NIOPosix")),
    ("imports", "Sources/TransferClient/Planted.swift", swift("import TLSTransport")),
    ("tls-calls", SERVER + ".swift", swift("let planted = SSL_read(session, buffer, 1)")),
    ("sizes", SERVER + ".swift", swift("let planted = 1\n" * 520)),
    ("sizes", SERVER + ".swift", swift(long_function(70))),
    ("sizes", "Tests/WSProtocolTests/PlantedTests.swift", swift("let planted = 1\n" * 810)),
    ("forbidden", SERVER + ".swift", swift("let planted = try! work()")),
    ("forbidden", SERVER + ".swift", swift("let planted = thing as! Int")),
    ("forbidden", SERVER + ".swift", swift('func planted() { fatalError("no") }')),
    ("forbidden", SERVER + ".swift", swift("func planted() { preconditionFailure() }")),
    ("forbidden", SERVER + ".swift", swift("nonisolated(unsafe) var planted = 1")),
    ("forbidden", SERVER + ".swift", swift("func planted() async throws { try await Task.sleep(for: .seconds(1)) }")),
    ("forbidden", CLIENT + ".swift", swift("let planted = try JSONDecoder().decode(Int.self, from: text)")),
    ("forbidden", CLIENT + ".swift", swift("let planted = try JSONEncoder().encode(planted)")),
    ("forbidden", SERVER + ".swift", swift('func planted() { print("here") }')),
    ("forbidden", CLIENT + ".swift", swift("let planted = try filling.next(on: BlockingThread())")),
    ("forbidden", CLIENT + ".swift", swift("var planted = ChunkSealer(of: keys)")),
    ("forbidden", SERVER + ".swift", swift("let planted = Mutex<(@Sendable () -> Void)?>(nil)")),
    ("forbidden", SERVER + ".swift", swift("let planted = Replaceable<(Int, Int) async throws -> Int>(work)")),
    (
        "forbidden",
        CLIENT + ".swift",
        swift("func planted() throws { try work.cipher.seal(work.buffer, into: &buffer) }"),
    ),
    ("forbidden", "Tests/WSProtocolTests/PlantedTests.swift", swift("func planted() { usleep(1) }")),
    ("unchecked", SERVER + ".swift", swift("final class Planted: @unchecked Sendable {}")),
    ("unchecked", SERVER + ".swift", swift("enum Planted {\n" + "".join(UNCHECKED.format(i) for i in range(4)) + "}")),
    ("access", SERVER + ".swift", swift("public struct Planted {}")),
    ("access", SERVER + ".swift", swift("public private(set) var planted = 1")),
    ("machines", SERVER + ".swift", swift(machine("switch event { case 1: return .a\n        default: return .b }"))),
    ("machines", SERVER + ".swift", swift(machine("return now < NIODeadline.now() ? .a : .b"))),
    ("machines", SERVER + ".swift", swift(machine("return .a", state="var promise: EventLoopPromise<Void>"))),
    (
        "machines",
        CLIENT + ".swift",
        swift(machine("return .a") + "\nextension Planted { @discardableResult func b() {} }"),
    ),
    (
        "machines",
        "Sources/WSProtocol/Planted.swift",
        swift(
            "struct Planted {\n    var state = 1\n    func a() {\n        switch 1 {\n        default: b()\n"
            "        }\n    }\n}"
        ),
    ),
    ("machines", SERVER + "Machine.swift", swift("struct PlantedMachine {\n    let planted = NIODeadline.now()\n}")),
    (
        "scattered",
        SERVER + ".swift",
        {
            SERVER + ".swift": swift("struct Planted {\n    var number = 1\n}"),
            SERVER + "+Parts.swift": swift("extension Planted {\n    mutating func b() { number += 1 }\n}"),
        },
    ),
    (
        "scattered",
        SERVER + ".swift",
        {
            SERVER + ".swift": swift("final class Planted {\n    package var told: (() -> Void)?\n}"),
            SERVER + "+Parts.swift": swift("extension Planted {\n    func b() { told = nil }\n}"),
        },
    ),
    (
        "scattered",
        CLIENT + ".swift",
        {
            CLIENT + ".swift": swift(
                "final class Planted {\n    weak var parts: Parts? {\n        didSet {}\n    }\n}"
            ),
            CLIENT + "+Parts.swift": swift("extension Planted {\n    func b() { self.parts?.list.append(1) }\n}"),
        },
    ),
    ("environment", SERVER + ".swift", swift('let planted = ProcessInfo.processInfo.environment["HOME"]')),
    ("environment", CLIENT + ".swift", swift('let planted = getenv("HOME")')),
    ("logs", SERVER + ".swift", swift('func planted() { logger.info("gone: \\(name)") }')),
    ("logs", SERVER + ".swift", swift('func planted() { context.log.error(\n    "gone: \\(name)") }')),
    ("logs", SERVER + ".swift", swift("func planted() { log.debug(message) }")),
    ("times", SERVER + ".swift", swift("let planted = now + .seconds(30)")),
    ("times", CLIENT + ".swift", swift("let planted = TimeAmount.minutes(1)")),
    ("waiting", "Sources/TLSTransport/Planted.swift", swift("func planted() async {}")),
    ("waiting", "Sources/StreamRelay/Planted.swift", swift("func planted() async {}")),
    ("waiting", "Sources/TransferClient/Planted.swift", swift("func planted() async {}")),
    (
        "isolated",
        SERVER + ".swift",
        swift(
            "func planted(context: ChannelHandlerContext) {\n"
            "    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)\n"
            "    context.eventLoop.scheduleTask(in: Defaults.time(of: 1)) { bound.value.close(promise: nil) }\n}"
        ),
    ),
    (
        "isolated",
        CLIENT + ".swift",
        swift(
            "func planted(loop: any EventLoop) {\n    let planted = NIOLoopBound(Planted(), eventLoop: loop)\n"
            "    work(on: loop) { planted.value.begin() }\n        .whenComplete { result in\n"
            "            if case .success = result {} else { planted.value.end() }\n        }\n}"
        ),
    ),
    ("circles", "Sources/RedisTransport/Codec/Planted.swift", swift("let planted: RedisClient? = nil")),
    ("circles", "Sources/WSProtocol/Fields/Planted.swift", swift("extension ServerMessage {}")),
    (
        "circles",
        "Sources/TransferBroker/Planted.swift",
        swift("extension Defaults {\n    static let planted = Limit?.none\n}"),
    ),
    ("order", "Sources/WSProtocol/Messages/Planted.swift", swift("let planted: WebSocketLimits? = nil")),
    (
        "order",
        "Sources/WSProtocol/WebSocket/WebSocketRules.swift",
        {"docs/architecture.md": page(("`WSProtocol/WebSocket` |", "Planted |"))},
    ),
    ("documented", SERVER + ".swift", swift("struct Planted {}")),
    ("licence", SERVER + ".swift", "let planted = 1\n"),
    ("licence", "scripts/planted", "#!/usr/bin/env bash\ntrue\n"),
    ("unfinished", SERVER + ".swift", swift("// TO" + "DO: later")),
    ("tracked", "Package.resolved", "{}\n"),
    ("tracked", "certs/out/server.pem", "planted\n"),
    ("tracked", ".build/planted", "planted\n"),
    ("tracked", "docs/planted.txt", "x" * 1_000_001 + "\n"),
    ("secrets", "docs/planted.md", secret("key")),
    ("secrets", "docs/planted.md", secret("token")),
    ("secrets", "docs/planted.md", secret("url")),
    ("folders", "Sources/RelayServer/Utils/Planted.swift", swift("let planted = 1")),
    ("mirrored", "Tests/StreamRelayTests/Planted/PlantedTests.swift", swift("@Suite struct PlantedTests {}")),
    ("mirrored", "Tests/TransferBrokerTests/Sessions/SessionMovesTests.swift", swift("let planted = 1")),
    (
        "mirrored",
        "Tests/RelayServerProgramTests/Admin/RegistryBackupTests.swift",
        swift("@Suite struct LimitTextTests {}"),
    ),
    ("shell", "scripts/planted", "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\nif true; then\n"),
    ("python", "scripts/checks/planted.py", "# SPDX-License-Identifier: Apache-2.0\ndef planted(:\n"),
    (
        "python",
        "scripts/checks/planted.py",
        "# SPDX-License-Identifier: Apache-2.0\ndef planted():\n" + "    pass\n" * 61,
    ),
    ("python-named", "scripts/planted", "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\n"),
    ("python-named", "cluster/up", {"pyproject.toml": configured(ruff=["cluster/up"], mypy=["cluster"])}),
    ("python-named", "cluster/up", {"pyproject.toml": configured(ruff=["cluster"], mypy=["cluster/up"])}),
    ("python-format", "scripts/checks/planted.py", "# SPDX-License-Identifier: Apache-2.0\nplanted  = 1\n"),
    ("python-format", "cluster/up", "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\nplanted = '1'\n"),
    ("python-format", "Tests/requirements.txt", "# SPDX-License-Identifier: Apache-2.0\nruff==0.0.1\n"),
    ("python-lint", "scripts/checks/planted.py", '# SPDX-License-Identifier: Apache-2.0\n"""X."""\n\nimport os\n'),
    ("python-lint", "Tests/harness/planted.py", '# SPDX-License-Identifier: Apache-2.0\n"""' + "x " * 70 + '"""\n'),
    ("python-types", "scripts/checks/planted.py", "# SPDX-License-Identifier: Apache-2.0\nplanted: int = str(1)\n"),
    ("python-types", "Benchmarks/planted.py", "# SPDX-License-Identifier: Apache-2.0\ndef planted():\n    pass\n"),
    ("python-types", "Tests/harness/planted.py", "# SPDX-License-Identifier: Apache-2.0\ndef planted():\n    pass\n"),
    (
        "python-types",
        "Tests/Loopback/test_planted.py",
        "# SPDX-License-Identifier: Apache-2.0\nplanted: int = str(1)\n",
    ),
    ("supply", "packaging/components.json", bill(packages={"planted": {"licence": "SSPL-1.0", "programs": []}})),
    (
        "supply",
        "packaging/components.json",
        bill(packages={"planted": {"licence": "LGPL-2.1-or-later", "programs": ["relay-server"]}}),
    ),
    ("supply", "packaging/components.json", bill(libraries={"libx.so": {"licence": "", "programs": ["relay-server"]}})),
    ("supply", "packaging/components.json", bill(advisories=known("0"))),
    ("supply", "packaging/copyright", bill()),
    ("supply", "Package.swift", swift('.package(url: "https://github.com/planted/planted", from: "1.0.0"),')),
    ("supply", "Package.swift", swift('.package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),')),
    ("supply", "Package.swift", swift('.package(url: "https://github.com/apple/swift-log.git", branch: "main"),')),
    ("supply", "Package.swift", swift('.package(url: "https://github.com/apple/swift-log", "1.16.0"..<"2.0.0"),')),
    ("supply", "Package.swift", swift('.package(path: "../swift-log"),')),
    (
        "supply",
        "Package.swift",
        {
            "packaging/components.json": bill(advisories=known("9.0.0")),
            "Package.swift": swift('.package(url: "https://github.com/apple/swift-log", from: "1.16.0"),'),
        },
    ),
    (
        "supply",
        "Package.resolved",
        '{"pins": [{"identity": "swift-nio", "location": "x", "state": {"revision": "0", "version": "2.100.9"}}]}\n',
    ),
    ("links", "docs/planted.md", "[a page](nowhere.md)\n"),
    ("links", "docs/planted.md", "`Loopback/test_cuts.py::test_planted`\n"),
    ("described", "Sources/StreamRelay/Planted/Planted.swift", swift("struct Planted {}")),
    ("links", "docs/architecture.md", "`Transfer/Planted`\n"),
    ("links", "docs/architecture.md", "`PlantedMachine.state`\n"),
    ("links", "docs/architecture.md", "`Broker+Planted`\n"),
    ("links", "Tests/Cluster/README.md", "`planted_fault[both ways]`\n"),
    ("walks", "docs/architecture.md", page(("13 files; those", "12 files; those"))),
    (
        "walks",
        "docs/architecture.md",
        page(("13 files; those", "14 files; those"), ("`LoopMeter` counts", "`LoopMeter`, `Placement` counts")),
    ),
    ("walks", "docs/architecture.md", page(("## A notification between nodes", "## Planted"))),
    ("walks", "docs/architecture.md", page(("(uses: `Files/SourceTree`)", "(`Files/SourceTree`)"))),
    (
        "walks",
        "docs/architecture.md",
        page(("and `Session/SealingParty` seals the request", "(`Session/SealingParty`)")),
    ),
    (
        "messages",
        "docs/architecture.md",
        page(("`TransferBroker/Limits/Holdings` | the", "`TransferBroker/Limits/Limit` | the")),
    ),
    (
        "messages",
        "Sources/TransferBroker/Limits/Holdings.swift",
        {"docs/architecture.md": page(("`TransferBroker/Limits/Holdings` | the", "Planted | the"))},
    ),
    ("messages", "Sources/RelayNode/Planted.swift", swift("let planted = ClientMessage.Kind.ping == .note")),
    (
        "messages",
        "Sources/RelayNode/Planted.swift",
        swift(
            "func planted(_ message: ClientMessage) {\n    switch message {\n    case .ping: break\n"
            "    default: break\n    }\n}"
        ),
    ),
    ("words", "docs/planted.md", "Who" + "ever writes this\n"),
    ("words", "docs/planted.md", "| a cell | some" + "body |\n"),
    ("words", "Sources/WSProtocol/Planted.swift", "// SPDX-License-Identifier: Apache-2.0\n\n/// No" + "body.\n"),
    ("words", "Sources/WSProtocol/Planted.swift", swift('let planted = "no' + 'body has it"')),
    ("words", "scripts/checks/planted.py", "# SPDX-License-Identifier: Apache-2.0\n# no" + "body\n"),
    ("words", "scripts/checks/planted.py", '# SPDX-License-Identifier: Apache-2.0\n"""The node is ' + 'no more."""\n'),
    ("words", "scripts/planted", "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\ntrue # any" + "body\n"),
    ("words", "Sources/WSProtocol/Planted.swift", swift("func endIfNo" + "bodyIsLeft() {}")),
    ("words", "Tests/WSProtocolTests/PlantedTests.swift", swift("@Test func isInNo" + "bodysWay() {}")),
    ("words", "Tests/WSProtocolTests/PlantedTests.swift", swift('@Test("any' + 'body comes") func planted() {}')),
    (
        "words",
        "Tests/harness/planted.py",
        "# SPDX-License-Identifier: Apache-2.0\ndef offered_to_no" + "body() -> None:\n    pass\n",
    ),
    ("width", "docs/planted.md", "word " * 30 + "end\n"),
    (
        "width",
        "scripts/planted",
        "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\n# " + "word " * 30 + ".\n",
    ),
    ("width", SERVER + ".swift", swift("// " + "word " * 23 + "ends")),
    ("endings", "docs/planted.md", "no line feed"),
    ("endings", "docs/planted.md", "a blank at the end \n"),
)

# Only with shellcheck on the machine.
SHELLCHECK_PLANTS: tuple[tuple[str, str, str | dict[str, str]], ...] = (
    ("shell", "scripts/planted", "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\necho $1\n"),
)
