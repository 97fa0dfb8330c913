// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

/// Settings every target of the package is built with.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    // Don't fail the build when a dependency update deprecates an API that is used here.
    .treatWarning("DeprecatedDeclaration", as: .warning),
]

/// Targets that call C: every unsafe expression has to say so.
let callC: Set = [
    "TLSTransport", "CloseOnExec", "RedisTransport", "CommandLineInterface", "ServerSystem", "StreamRelay",
    "RelayNode", "RelayServerProgram", "RelayClientProgram", "PrivateFiles", "Sealing", "ConstantTime",
]

// What the targets use of other packages.
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let nioExtras: Target.Dependency = .product(name: "NIOExtras", package: "swift-nio-extras")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

let package = Package(
    name: "relay",
    products: [
        .executable(name: "relay-server", targets: ["RelayServer"]),
        .executable(name: "relay-client", targets: ["RelayClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.1"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CProcess"),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "Pacing", dependencies: [nioCore]),
        .target(name: "TLSTransport", dependencies: ["COpenSSL", "Pacing", nioCore]),
        .target(name: "CloseOnExec", dependencies: [nioCore]),
        .target(
            name: "RedisTransport",
            dependencies: ["CHiredis", "CloseOnExec", "TLSTransport", "WSProtocol", nioCore, nioPosix, crypto, logging]
        ),
        .target(name: "WSProtocol", dependencies: ["Pacing", nioCore]),
        .target(name: "Sealing", dependencies: ["WSProtocol", nioCore, crypto]),
        .target(name: "CommandLineInterface", dependencies: ["WSProtocol", argumentParser]),
        .target(name: "WebSocketTransport", dependencies: ["WSProtocol", nioCore, nioWebSocket, crypto]),
        .target(name: "PrivateFiles"),
        // The layers of relay-server, from the bottom up; docs/architecture.md has a sentence for each.
        .target(
            name: "ServerSystem",
            dependencies: [
                "CLinux", "CProcess", "CloseOnExec", "PrivateFiles", "WSProtocol", nioCore, nioPosix, logging,
            ]
        ),
        .target(name: "TransferBroker", dependencies: ["WSProtocol", nioCore, crypto]),
        .target(
            name: "StreamRelay",
            dependencies: [
                "ServerSystem", "TLSTransport", "TransferBroker", "WSProtocol", "WebSocketTransport",
                nioCore, nioPosix,
            ]
        ),
        .target(
            name: "RelayNode",
            dependencies: [
                "CloseOnExec", "Pacing", "PrivateFiles", "ServerSystem", "StreamRelay", "TLSTransport",
                "TransferBroker", "WebSocketTransport", "WSProtocol",
                nioCore, nioPosix, crypto, logging,
            ]
        ),
        .target(
            name: "RelayCluster",
            dependencies: [
                "CloseOnExec", "Pacing", "PrivateFiles", "RedisTransport", "RelayNode", "ServerSystem",
                "StreamRelay", "TLSTransport", "TransferBroker", "WebSocketTransport", "WSProtocol",
                nioCore, nioPosix, crypto, logging,
            ]
        ),
        .target(
            name: "RelayServerProgram",
            dependencies: [
                "CloseOnExec", "CommandLineInterface", "PrivateFiles", "RedisTransport", "RelayCluster", "RelayNode",
                "ServerSystem", "StreamRelay", "TLSTransport", "TransferBroker", "WSProtocol",
                nioCore, nioPosix, argumentParser, configuration, logging, unixSignals,
            ],
            exclude: ["Configuration/SingleNode", "Lifecycle/SingleNode"]
        ),
        .executableTarget(name: "RelayServer", dependencies: ["RelayServerProgram"]),
        .target(name: "TransferClient", dependencies: ["Sealing", "WSProtocol", nioCore, crypto]),
        .executableTarget(name: "RelayClient", dependencies: ["RelayClientProgram"]),
        .target(
            name: "RelayClientProgram",
            dependencies: [
                "CLinux", "CloseOnExec", "CommandLineInterface", "PrivateFiles", "Sealing", "TLSTransport",
                "TransferClient", "WebSocketTransport", "WSProtocol",
                nioCore, nioExtras, nioHTTP1, nioPosix, argumentParser, crypto,
            ]
        ),
        // What tests of any target need: child processes, Redis servers, certificates, folders, hostile inputs.
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        // What tests of several layers of relay-server need.
        .target(
            name: "RelayTestFixtures",
            dependencies: ["StreamRelay", "TransferBroker", "WSProtocol", nioCore],
            path: "Tests/RelayTestFixtures"
        ),
        // What Autobahn|Testsuite is run against; no product of the package.
        .executableTarget(
            name: "WebSocketEcho",
            dependencies: ["WSProtocol", "WebSocketTransport", nioCore, nioPosix],
            path: "Tests/WebSocketEcho"
        ),
        // What compares secrets, for memcheck to look at; no product of the package.
        .target(name: "CMemcheck", path: "Tests/CMemcheck"),
        .executableTarget(
            name: "ConstantTime",
            dependencies: ["CMemcheck", "RelayCluster", "TransferBroker", "WSProtocol", crypto],
            path: "Tests/ConstantTime"
        ),
        // How fast chunks are sealed and opened; no product of the package.
        .executableTarget(
            name: "SealingSpeed",
            dependencies: ["Sealing", "WSProtocol", nioCore, crypto],
            path: "Benchmarks/sealing"
        ),
        .testTarget(name: "PrivateFilesTests", dependencies: ["PrivateFiles", "TestSupport"]),
        .testTarget(name: "PacingTests", dependencies: ["Pacing", nioCore]),
        .testTarget(
            name: "TLSTransportTests",
            dependencies: ["TLSTransport", "TestSupport", nioCore, nioEmbedded, nioPosix]
        ),
        .testTarget(
            name: "RedisTransportTests",
            dependencies: ["RedisTransport", "TLSTransport", "TestSupport", nioCore, nioPosix, logging]
        ),
        .testTarget(
            name: "CommandLineInterfaceTests",
            dependencies: ["CommandLineInterface", "TestSupport", "WSProtocol", argumentParser]
        ),
        .testTarget(name: "WSProtocolTests", dependencies: ["TestSupport", "WSProtocol", nioCore]),
        .testTarget(name: "SealingTests", dependencies: ["Sealing", "TestSupport", "WSProtocol", nioCore, crypto]),
        .testTarget(
            name: "WebSocketTransportTests",
            dependencies: ["WSProtocol", "WebSocketTransport", nioCore, nioEmbedded]
        ),
        .testTarget(
            name: "ServerSystemTests",
            dependencies: [
                "CProcess", "PrivateFiles", "ServerSystem", "TestSupport",
                nioCore, nioEmbedded, nioPosix, logging,
            ]
        ),
        .testTarget(
            name: "TransferBrokerTests",
            dependencies: ["RelayTestFixtures", "TransferBroker", "WSProtocol", nioCore],
            exclude: ["ModelProgram"]
        ),
        .testTarget(
            name: "StreamRelayTests",
            dependencies: [
                "RelayTestFixtures", "ServerSystem", "StreamRelay", "TLSTransport", "TestSupport", "TransferBroker",
                "WSProtocol",
                nioCore, nioEmbedded, nioPosix,
            ]
        ),
        .testTarget(
            name: "RelayNodeTests",
            dependencies: [
                "Pacing", "PrivateFiles", "RelayNode", "RelayTestFixtures", "ServerSystem", "StreamRelay",
                "TestSupport", "TLSTransport", "TransferBroker", "WebSocketTransport", "WSProtocol",
                nioCore, nioEmbedded, nioPosix, crypto, logging,
            ]
        ),
        .testTarget(
            name: "RelayClusterTests",
            dependencies: [
                "PrivateFiles", "RedisTransport", "RelayCluster", "RelayNode", "RelayTestFixtures", "ServerSystem",
                "StreamRelay", "TestSupport", "TLSTransport", "TransferBroker", "WebSocketTransport", "WSProtocol",
                nioCore, nioEmbedded, nioPosix, crypto, logging,
            ]
        ),
        .testTarget(
            name: "RelayServerProgramTests",
            dependencies: [
                "PrivateFiles", "RedisTransport", "RelayCluster", "RelayNode", "RelayServerProgram",
                "RelayTestFixtures", "ServerSystem", "StreamRelay", "TLSTransport", "TestSupport", "TransferBroker",
                "WSProtocol",
                nioCore, nioEmbedded, nioPosix, logging,
            ]
        ),
        .testTarget(
            name: "TransferClientTests",
            dependencies: ["Sealing", "TestSupport", "TransferClient", "WSProtocol", nioCore]
        ),
        .testTarget(
            name: "RelayClientProgramTests",
            dependencies: [
                "CommandLineInterface", "PrivateFiles", "RelayClientProgram", "Sealing", "TLSTransport", "TestSupport",
                "TransferClient", "WSProtocol", "WebSocketTransport",
                nioCore, nioEmbedded, nioHTTP1, nioPosix, argumentParser, crypto,
            ]
        ),
        // The fuzzer's decoders with their corpora; RELAY_FUZZ makes the fuzzer of the same files.
        .testTarget(
            name: "FuzzingTests",
            dependencies: [
                "CommandLineInterface", "PrivateFiles", "RedisTransport", "RelayClientProgram", "RelayCluster",
                "RelayNode", "RelayServerProgram", "Sealing", "ServerSystem", "StreamRelay", "TLSTransport",
                "TestSupport", "TransferBroker", "TransferClient", "WSProtocol", "WebSocketTransport",
                nioCore, nioEmbedded, nioHTTP1, crypto, logging,
            ],
            exclude: ["Fuzzer"]
        ),
    ]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = callC.contains(target.name) ? strict + [.strictMemorySafety()] : strict
}

// `RELAY_SINGLE_NODE=1 swift build` makes a relay-server that is always the only one: without what makes a cluster,
// which the rest must not need, and without hiredis. See scripts/test single-node.
if Context.environment["RELAY_SINGLE_NODE"] != nil {
    let ofCluster: Set = [
        "CHiredis", "ConstantTime", "FuzzingTests", "RedisTransport", "RedisTransportTests", "RelayCluster",
        "RelayClusterTests",
    ]
    package.targets.removeAll { ofCluster.contains($0.name) }
    for target in package.targets {
        target.dependencies.removeAll { dependency in
            guard case .byNameItem(let name, _) = dependency else { return false }
            return ofCluster.contains(name)
        }
        switch target.name {
        case "RelayServerProgram": target.exclude = ["Configuration/Cluster", "Lifecycle/Cluster"]
        case "RelayServerProgramTests": target.exclude = ["Configuration/Cluster"]
        default: break
        }
    }
}

// `RELAY_FUZZ=1 swift build -c release --scratch-path .build-fuzz --product relay-fuzzer` makes the fuzzer of all
// decoders of bytes from outside, which `scripts/prove fuzz` runs. Only this package's own code is instrumented.
if Context.environment["RELAY_FUZZ"] != nil {
    let instrumented: SwiftSetting = .unsafeFlags([
        "-Onone", "-sanitize=fuzzer", "-enable-testing", "-profile-generate", "-profile-coverage-mapping",
    ])
    // What -sanitize=fuzzer would link has a main function of its own.
    let libFuzzer = [
        "--whole-archive", "-l:../clang/lib/linux/libclang_rt.fuzzer_interceptors-x86_64.a", "--no-whole-archive",
        "-l:../clang/lib/linux/libclang_rt.fuzzer_no_main-x86_64.a", "-lstdc++",
    ].flatMap { ["-Xlinker", $0] }
    let fuzzed = package.targets.first { $0.name == "FuzzingTests" }?.dependencies ?? []
    package.targets.removeAll { $0.type == .test }
    for target in package.targets where target.type == .regular && target.name != "CProcess" {
        // Instrumented code has warnings of its own.
        target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .warning), instrumented]
    }
    package.targets += [
        .executableTarget(
            name: "RelayFuzzer", dependencies: fuzzed, path: "Tests/FuzzingTests", exclude: ["Replay"],
            swiftSettings: strict, linkerSettings: [.unsafeFlags(["-use-ld=lld", "-profile-generate"] + libFuzzer)]
        )
    ]
    package.products.append(.executable(name: "relay-fuzzer", targets: ["RelayFuzzer"]))
}

// `RELAY_MODEL=1 swift build -c release --scratch-path .build-model --product relay-model` makes a program of the claim
// and routing model, which `scripts/prove model` runs: optimised, and without what the model does not need.
if Context.environment["RELAY_MODEL"] != nil {
    package.targets.removeAll { $0.type == .test }
    for target in package.targets {
        switch target.name {
        case "TransferBroker": target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-enable-testing"])]
        case "RelayTestFixtures":
            target.dependencies = ["TransferBroker", "WSProtocol", nioCore]
            target.exclude = ["TestDirectory.swift"]
        default: break
        }
    }
    package.targets += [
        .executableTarget(
            name: "ClaimAndRoutingModel", dependencies: ["RelayTestFixtures", "TransferBroker", "WSProtocol", nioCore],
            path: "Tests/TransferBrokerTests",
            exclude: [
                "Broker", "Figures", "Sessions", "Tokens", "Transfers", "Fixtures/BrokerNetwork.swift",
                "Model/ClaimAndRoutingModelTests.swift", "Model/ModelSchedulesTests.swift",
            ],
            swiftSettings: strict
        )
    ]
    package.products.append(.executable(name: "relay-model", targets: ["ClaimAndRoutingModel"]))
}
