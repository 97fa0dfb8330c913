# SPDX-License-Identifier: Apache-2.0
"""The rules for Swift sources. Each rule takes a Tree and yields (path, line, problem)."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping

from .tree import Place, Problems, Tree, functions, line_of

MAXIMUM_SOURCE_LINES = 500
MAXIMUM_TEST_LINES = 800
MAXIMUM_FUNCTION_LINES = 60
MAXIMUM_UNCHECKED = 3

# The targets of relay-server, from the bottom up.
LAYERS = (
    "ServerSystem",
    "TransferBroker",
    "StreamRelay",
    "RelayNode",
    "RelayCluster",
    "RelayServerProgram",
    "RelayServer",
)
MAY_NEED_CLUSTER = {
    "ConstantTime",
    "FuzzingTests",
    "RelayServerProgram",
    "RelayClusterTests",
    "RelayServerProgramTests",
}

IMPORT = re.compile(
    r"^[ \t]*((?:@\w+(?:\([^)]*\))?[ \t]+)*)(?:(\w+)[ \t]+)?import[ \t]+(?:(?:struct|class|enum|func|var|let|"
    r"protocol|typealias)[ \t]+)?(\w+)",
    re.MULTILINE,
)
TLS_CALL = re.compile(r"\bSSL_(?:read|write|do_handshake|shutdown)(?:_ex)?\s*\(")
LOG_CALL = re.compile(r"\b\w*[lL]og(?:ger)?\s*\.\s*(?:trace|debug|info|notice|warning|error|critical)\s*\(\s*")

# A NIOLoopBound that is no field of something that goes from thread to thread, and its name.
LOOP_BOUND = re.compile(r"\b(?:let|var)\s+(\w+)\s*=\s*NIOLoopBound(?:Box)?\b")
# What comes before the closure of an event loop or of a future, all of which have an isolated view.
CLOSURE_OF_LOOP = re.compile(
    r"(\.\s*assumeIsolated\s*\(\s*\))?\s*\.\s*(execute|submit|(?:flatS|s)cheduleTask|when(?:Success|Failure|Complete)"
    r"|map|flatMap\w*|recover|always)\s*(?:\([^(){}]*(?:\([^(){}]*\)[^(){}]*)*\)\s*)?$"
)

# What comes with Swift.
SYSTEM_MODULES = {
    "Foundation",
    "FoundationEssentials",
    "Glibc",
    "Synchronization",
    "Testing",
    "Dispatch",
    "Musl",
    "Darwin",
}

# Construct, and where it is allowed all the same.
FORBIDDEN = (
    ("try!", r"\btry\s*!", ()),
    ("as!", r"\bas\s*!", ()),
    ("fatalError", r"\bfatalError\s*\(", ()),
    ("preconditionFailure", r"\bpreconditionFailure\s*\(", ()),
    ("nonisolated(unsafe)", r"\bnonisolated\s*\(\s*unsafe\s*\)", ()),
    ("JSON outside StrictJSON", r"\bJSON(?:De|En)coder\s*\(|\bJSONSerialization\b", ("/StrictJSON.swift",)),
    ("sleep", r"\bu?sleep\s*\(|\bnanosleep\s*\(", ()),
    ("a BlockingThread but where one begins", r"\bBlockingThread\s*\(", ("/BlockingWork.swift",)),
    (
        "what seals or opens chunks but with a BlockingThread",
        r"\bChunk(?:Sealer|Opener)\s*\(|\bcipher\s*\.\s*(?:seal|open)\s*\(",
        ("/ChunkFilling.swift", "/Downloader.swift"),
    ),
    (
        "a closure that is itself the value of a box, which wraps it once more at each access,",
        r"\b(?:Mutex|NIOLockedValueBox|NIOLoopBoundBox|Replaceable)<[(\s]*(?:@\w+\s*)*\([^<>\[\]]*\)[\w\s]*->",
        (),
    ),
    ("print, which does not say when it fails,", r"(?<![\w.])(?:debugPrint|print|dump)\s*\(", ()),
)


def found(tree: Tree, paths: list[str], pattern: str | re.Pattern[str], problem: str) -> Problems:
    """A problem for each match of `pattern` in the blanked text of the files."""
    for path in paths:
        code = tree.code(path)
        for match in re.finditer(pattern, code):
            yield path, line_of(code, match.start()), problem


def formatting(tree: Tree) -> Problems:
    """swift format lint --strict passes; tests may force-unwrap their own constants (Tests/.swift-format)."""
    swift = shutil.which("swift")
    if swift is None:
        yield "", 0, "there is no swift on the PATH"
        return
    paths = [path for path in tree.paths if path.endswith(".swift")]
    result = subprocess.run(
        (swift, "format", "lint", "--strict", "--parallel", *paths),
        cwd=tree.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    for line in result.stderr.splitlines():
        match = re.match(r"(.*?):(\d+):\d+: \w+: (.*)", line)
        if match:
            yield (
                os.path.relpath(os.path.join(tree.root, match.group(1)), tree.root),
                int(match.group(2)),
                match.group(3),
            )
    if result.returncode != 0 and not result.stderr.strip():
        yield "", 0, f"swift format ended with status {result.returncode}"


def imports(tree: Tree) -> Problems:
    """Each module is imported only where the layout has it."""
    for path in tree.swift("Sources/", "Tests/"):
        code = tree.code(path)
        for match in IMPORT.finditer(code):
            access, module = match.group(2), match.group(3)
            problem = import_problem(path, access, module)
            if problem:
                yield path, line_of(code, match.start(3)), problem


def import_problem(path: str, access: str | None, module: str) -> str | None:
    """Why `module` must not be imported there, or None."""
    if path.startswith("Sources/Pacing/") and module != "NIOCore":
        return f"Pacing is pure, it does not import {module}"
    if path.startswith("Sources/WSProtocol/"):
        codec = path.endswith(("/MessageCodec.swift", "/StrictJSON.swift")) and module == "FoundationEssentials"
        if module not in ("NIOCore", "Pacing") and not codec:
            return f"WSProtocol is pure, it does not import {module}"
    if path.startswith("Sources/TransferBroker/") and module not in ("NIOCore", "Crypto", "Pacing", "WSProtocol"):
        return f"TransferBroker is pure, it does not import {module}"
    if path.startswith("Sources/TransferClient/") and (module in ("Foundation", "Glibc") or is_io(module)):
        return f"TransferClient is pure, it does not import {module}"
    if path.startswith("Sources/TLSTransport/") and module.startswith("NIO") and module not in ("NIOCore", "NIOTLS"):
        return f"TLSTransport knows no sockets and no HTTP, it does not import {module}"
    if path.startswith("Sources/") and module in ("COpenSSL", "CHiredis"):
        home = {"COpenSSL": "Sources/TLSTransport/", "CHiredis": "Sources/RedisTransport/"}[module]
        if not path.startswith(home):
            return f"only {home} imports {module}"
        if access not in ("private", "fileprivate"):
            return f"the import of {module} has to be private, so that no C type leaks"
    if path.startswith("Sources/") and module in ("XCTest", "Testing", "NIOSSL"):
        return f"{module} has no place in Sources"
    return None


def is_io(module: str) -> bool:
    """Whether a module moves bytes: NIO but for its values, and the transports."""
    return (module.startswith("NIO") and module != "NIOCore") or module.endswith("Transport")


def declarations(manifest: str) -> dict[str, set[str]]:
    """What each target of a Package.swift declares as its dependencies."""
    starts = [match.start() for match in re.finditer(r"\.(?:target|executableTarget|testTarget)\(", manifest)] + [
        len(manifest)
    ]
    products = dict(re.findall(r'^let (\w+): Target\.Dependency = \.product\(name: "(\w+)"', manifest, re.MULTILINE))
    declared = {}
    for start, end in itertools.pairwise(starts):
        target = manifest[start:end]
        name = re.search(r'name: "(\w+)"', target)
        listed = re.search(r"dependencies: \[(.*?)\]", target, re.DOTALL)
        if name:
            words = re.findall(r'"(\w+)"|\b(\w+)\b', listed.group(1)) if listed else []
            declared[name.group(1)] = {target or products.get(constant, constant) for target, constant in words}
    return declared


def declared(tree: Tree) -> Problems:
    """Each target imports what Package.swift declares for it, all of it, and nothing else but what comes with Swift."""
    manifest = tree.uncommented("Package.swift")
    targets = declarations(manifest)
    used: dict[str, set[str]] = {}
    for path in tree.swift("Sources/", "Tests/"):
        target = path.split("/")[1]
        code = tree.code(path)
        for match in IMPORT.finditer(code):
            module = match.group(3)
            used.setdefault(target, set()).add(module)
            if module not in targets.get(target, set()) | SYSTEM_MODULES:
                yield path, line_of(code, match.start(3)), f"Package.swift does not declare {module} for {target}"
    for target in sorted(used):
        for module in sorted(targets.get(target, set()) - used[target]):
            yield "Package.swift", 0, f"{target} does not import {module}"


def layers(tree: Tree) -> Problems:
    """Layers of relay-server depend on those below them only, and nothing but the program depends on the cluster."""
    targets = declarations(tree.uncommented("Package.swift"))
    for position, layer in enumerate(LAYERS):
        if layer not in targets:
            yield "Package.swift", 0, f"there is no target {layer}"
        for above in sorted(set(LAYERS[position:]) & targets.get(layer, set())):
            yield "Package.swift", 0, f"{layer} depends on {above}, which is above it"
    for target in sorted(targets):
        if "RelayCluster" in targets[target] and target not in MAY_NEED_CLUSTER:
            yield "Package.swift", 0, f"{target} depends on RelayCluster: one node has to work without it"
    for target in sorted(targets):
        if target in reachable(targets, target):
            yield "Package.swift", 0, f"{target} depends on itself by way of others"
    for path in tree.swift("Sources/RelayServerProgram/"):
        code = tree.code(path)
        for match in re.finditer(r"\bimport (RelayCluster|RedisTransport)\b", code):
            if "/Cluster/" not in path:
                yield path, line_of(code, match.start()), f"only Cluster/ imports {match.group(1)}"


def tls_calls(tree: Tree) -> Problems:
    """SSL_read, SSL_write, SSL_do_handshake and SSL_shutdown are called in one file, which minds the error queue."""
    calls = list(found(tree, tree.swift("Sources/"), TLS_CALL, "a TLS call outside the one guarded file"))
    counts: dict[str, int] = {}
    for path, _, _ in calls:
        if path.startswith("Sources/TLSTransport/"):
            counts[path] = counts.get(path, 0) + 1
    home = max(sorted(counts), key=counts.__getitem__, default=None)
    yield from (call for call in calls if call[0] != home)


def sizes(tree: Tree) -> Problems:
    """Files and functions are small enough to be read at once."""
    for path in tree.swift("Sources/", "Tests/"):
        limit = MAXIMUM_TEST_LINES if path.startswith("Tests/") else MAXIMUM_SOURCE_LINES
        lines = tree.text(path).count("\n")
        if lines > limit:
            yield path, limit, f"{lines} lines, {limit} at most"
        for line, length in functions(tree.code(path)):
            if length > MAXIMUM_FUNCTION_LINES:
                yield path, line, f"a function of {length} lines, {MAXIMUM_FUNCTION_LINES} at most"


def forbidden(tree: Tree) -> Problems:
    """Constructs that can stop the process, block a thread or hide a race."""
    sources = tree.swift("Sources/")
    for name, pattern, exceptions in FORBIDDEN:
        paths = [path for path in sources if not any(exception in path for exception in exceptions)]
        yield from found(tree, paths, pattern, f"{name} is not allowed in Sources")
    yield from found(tree, tree.swift("Tests/"), r"\b(?:u|nano)?sleep\s*\(", "tests wait for events, they do not sleep")


def unchecked(tree: Tree) -> Problems:
    """At most three @unchecked Sendable, each with a SAFETY comment right above."""
    places = list(found(tree, tree.swift("Sources/"), r"@unchecked\s+Sendable", ""))
    for path, line, _ in places:
        lines = tree.text(path).splitlines()
        above = line - 2
        while above >= 0 and lines[above].strip().startswith(("//", "@")) and "SAFETY:" not in lines[above]:
            above -= 1
        if "// SAFETY:" not in lines[line - 1] and (above < 0 or "// SAFETY:" not in lines[above]):
            yield path, line, "@unchecked Sendable without a // SAFETY: line above"
    for path, line, _ in places[MAXIMUM_UNCHECKED:]:
        yield path, line, f"more than {MAXIMUM_UNCHECKED} @unchecked Sendable in the package"


def access(tree: Tree) -> Problems:
    """Nothing is public: what crosses targets is `package`."""
    yield from found(
        tree,
        tree.swift("Sources/"),
        r"\b(?:public|open)\s+(?:[a-z()]+\s+)*(?:class|struct|enum|actor|protocol|func|var|"
        r"let|init|extension|typealias|subscript|import)\b",
        "use package access",
    )


def environment(tree: Tree) -> Problems:
    """Environment variables are read in the configuration files alone."""
    paths = [
        path
        for path in tree.swift("Sources/")
        if not re.search(r"/Configuration/|/[^/]*(?:Configuration|Environment)[^/]*\.swift$", path)
    ]
    yield from found(
        tree, paths, r"\b(?:ProcessInfo|getenv|secure_getenv)\b", "the environment is read in configuration files only"
    )


def logs(tree: Tree) -> Problems:
    """A log message is a constant; what varies goes into the metadata."""
    for path in tree.swift("Sources/"):
        text = tree.uncommented(path)
        for match in LOG_CALL.finditer(text):
            literal = re.match(r'"(?:[^"\\\n]|\\.)*"', text[match.end() :])
            if literal is None and text.startswith(")", match.end()):
                continue
            if literal is None or "\\(" in literal.group(0):
                yield path, line_of(text, match.start()), "a log message has to be a constant string"


def times(tree: Tree) -> Problems:
    """How long anything takes stands in a Defaults.swift, with its reason; 1 is a unit."""
    paths = [path for path in tree.swift("Sources/") if not re.search(r"/Defaults(?:\+\w+)?\.swift$", path)]
    yield from found(
        tree,
        paths,
        r"(?<!\w)\.(?:(?:milli|micro)?seconds|minutes|hours)\(\s*(?!1\s*\))\d|"
        r"\bTimeAmount\.(?!nanoseconds)\w+\(\s*\d",
        "a time belongs into the target's Defaults.swift",
    )


def waiting(tree: Tree) -> Problems:
    """No concurrency runtime on the byte path, and in targets of values."""
    yield from found(
        tree,
        tree.swift(
            "Sources/WSProtocol/",
            "Sources/TransferBroker/",
            "Sources/TransferClient/",
            "Sources/TLSTransport/",
            "Sources/StreamRelay/",
            "Sources/Sealing/",
        ),
        r"\b(?:async|await|Task)\b",
        "async has no place here",
    )


def isolated(tree: Tree) -> Problems:
    """What runs on the loop that made it is given to assumeIsolated(); NIOLoopBound is for what crosses threads."""
    for path in tree.swift("Sources/"):
        code = tree.code(path)
        for bound in LOOP_BOUND.finditer(code):
            for use in re.finditer(rf"\b{bound.group(1)}\s*\.\s*value\b", code[bound.end() :]):
                position = bound.end() + use.start()
                for call in calls_between(code, bound.start(), position):
                    yield path, line_of(code, position), f"{call} is there with assumeIsolated(), for any closure"


def calls_between(code: str, outside: int, inside: int) -> Iterator[str]:
    """The methods that have an isolated view, called without it, whose closures only the second position is in."""
    depth = 0
    for index in range(inside - 1, outside, -1):
        depth += {"}": 1, "{": -1}.get(code[index], 0)
        if depth < 0:
            depth = 0
            call = CLOSURE_OF_LOOP.search(code[:index])
            if call and not call.group(1):
                yield call.group(2)


def circles(tree: Tree) -> Problems:
    """No folders of a target, and the files beside them, depend on each other in a circle: each uses the types of those
    below it."""
    for target in sorted({path.split("/")[1] for path in tree.swift("Sources/")}):
        uses = folder_uses(tree, target)
        circular = {folder for folder in uses if folder in reachable(uses, folder)}
        for folder in sorted(circular):
            for other in sorted(set(uses[folder]) & circular):
                name, path, line = uses[folder][other]
                if folder in reachable(uses, other):
                    yield path, line, f"{name} is of {other}, which depends on {folder}: a circle"


def order(tree: Tree) -> Problems:
    """The tables of docs/architecture.md have the folders of a target from the bottom up."""
    target, places = "", dict[str, list[str]]()
    for line in tree.text("docs/architecture.md").splitlines():
        target = match.group(1) if (match := re.match(r"Of `(\w+)`, from the bottom up", line)) else target
        target = "" if line.startswith("#") else target
        if match := re.match(r"\| `(?:(\w+)/)?(\w+)` \|", line):
            places.setdefault(match.group(1) or target, []).append(match.group(2))
    for target in sorted({path.split("/")[1] for path in tree.swift("Sources/")}):
        uses, listed = folder_uses(tree, target), places.get(target, [])
        # The files beside the folders have no row: they are above all, or below.
        for folder in uses.keys() - {target}:
            for other, (name, path, number) in uses[folder].items():
                if other != target and (folder not in listed or other not in listed[: listed.index(folder)]):
                    yield path, number, f"{name} is of {other}, which docs/architecture.md does not have above {folder}"


def folder_uses(tree: Tree, target: str) -> dict[str, dict[str, Place]]:
    """For each folder of a target, and the files beside them under the target's own name, the others whose types it
    names, each with the first place: (name, path, line)."""
    declaration = re.compile(
        r"^(?:(?:@\w+(?:\([^)\n]*\))?|package|internal|final|indirect|nonisolated)[ \t]+)*"
        r"(?:struct|class|enum|actor|protocol|typealias)[ \t]+(\w+)",
        re.MULTILINE,
    )
    paths = tree.swift(f"Sources/{target}/")
    folders = {path: path.split("/")[2] if path.count("/") > 2 else target for path in paths}
    homes = {name: folders[path] for path in paths for name in declaration.findall(tree.code(path))}
    uses: dict[str, dict[str, Place]] = {folder: {} for folder in folders.values()}
    for path, folder in folders.items():
        code = tree.code(path)
        own = set(re.findall(r"\b(?:struct|class|enum|actor|protocol|typealias)[ \t]+(\w+)", code))
        for match in re.finditer(r"(?<![.\w])[A-Z]\w*", code):
            other = homes.get(match.group(0), folder)
            if other != folder and other not in uses[folder] and match.group(0) not in own:
                uses[folder][other] = (match.group(0), path, line_of(code, match.start()))
    return uses


def reachable(uses: Mapping[str, Collection[str]], folder: str) -> set[str]:
    """Every folder that `folder` depends on, directly or through others."""
    found_folders, open_folders = set(), [folder]
    while open_folders:
        for other in uses.get(open_folders.pop(), ()):
            if other not in found_folders:
                found_folders.add(other)
                open_folders.append(other)
    return found_folders


def documented(tree: Tree) -> Problems:
    """Each type that is not private says what it is."""
    declaration = re.compile(
        r"^[ \t]*((?:(?:@\w+(?:\([^)\n]*\))?|package|internal|final|indirect|private|fileprivate|nonisolated)"
        r"[ \t]+)*)(?:struct|class|enum|actor|protocol)[ \t]+(?!func\b|var\b|let\b)(\w+)",
        re.MULTILINE,
    )
    for path in tree.swift("Sources/"):
        code, lines = tree.code(path), tree.text(path).splitlines()
        for match in declaration.finditer(code):
            if "private" in match.group(1):
                continue
            line = line_of(code, match.start(2))
            above = line - 2
            while above >= 0 and re.match(r"\s*(?:@|// )", lines[above]):
                above -= 1
            if above < 0 or not lines[above].strip().startswith(("///", "*/")):
                yield path, line, f"{match.group(2)} has no documentation comment"
