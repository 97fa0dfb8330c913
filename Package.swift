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
let strictWithC: [SwiftSetting] = strict + [.strictMemorySafety()]

let package = Package(
    name: "relay",
    products: [
        .executable(name: "relay-server", targets: ["RelayServer"]),
        .executable(name: "relay-client", targets: ["RelayClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CProcess"),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(
            name: "Pacing",
            dependencies: [.product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .target(
            name: "TLSTransport",
            dependencies: ["COpenSSL", "Pacing", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strictWithC
        ),
        .target(
            name: "CloseOnExec",
            dependencies: [.product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strictWithC
        ),
        .target(
            name: "RedisTransport",
            dependencies: [
                "CHiredis", "CloseOnExec", "TLSTransport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strictWithC
        ),
        .target(
            name: "WSProtocol",
            dependencies: ["Pacing", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .target(
            name: "CommandLineInterface",
            dependencies: ["WSProtocol", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strictWithC
        ),
        .target(
            name: "WebSocketTransport",
            dependencies: [
                "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        // The layers of relay-server, from the bottom up; docs/architecture.md has a sentence for each.
        .target(
            name: "ServerSystem",
            dependencies: [
                "CProcess", "CloseOnExec",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strictWithC
        ),
        .target(
            name: "TransferBroker",
            dependencies: [
                "WSProtocol",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "StreamRelay",
            dependencies: [
                "ServerSystem", "TLSTransport", "TransferBroker", "WSProtocol",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strictWithC
        ),
        .target(
            name: "RelayNode",
            dependencies: [
                "CloseOnExec", "Pacing", "ServerSystem", "StreamRelay", "TLSTransport", "TransferBroker",
                "WSProtocol", "WebSocketTransport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strictWithC
        ),
        .target(
            name: "RelayCluster",
            dependencies: [
                "CloseOnExec", "Pacing", "RedisTransport", "RelayNode", "ServerSystem", "StreamRelay",
                "TLSTransport", "TransferBroker", "WSProtocol", "WebSocketTransport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "RelayServerProgram",
            dependencies: [
                "CloseOnExec", "CommandLineInterface", "RedisTransport", "RelayCluster", "RelayNode", "ServerSystem",
                "StreamRelay", "TLSTransport", "TransferBroker", "WSProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            exclude: ["Configuration/SingleNode", "Lifecycle/SingleNode"],
            swiftSettings: strictWithC
        ),
        .executableTarget(name: "RelayServer", dependencies: ["RelayServerProgram"], swiftSettings: strict),
        .target(
            name: "TransferClient",
            dependencies: ["WSProtocol", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .executableTarget(name: "RelayClient", dependencies: ["RelayClientProgram"], swiftSettings: strict),
        .target(
            name: "RelayClientProgram",
            dependencies: [
                "CLinux", "CloseOnExec", "CommandLineInterface", "TLSTransport", "TransferClient", "WSProtocol",
                "WebSocketTransport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strictWithC
        ),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        // What tests of several layers of relay-server need.
        .target(
            name: "RelayTestFixtures",
            dependencies: [
                "StreamRelay", "TransferBroker", "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/RelayTestFixtures",
            swiftSettings: strict
        ),
        // What Autobahn|Testsuite is run against; no product of the package.
        .executableTarget(
            name: "WebSocketEcho",
            dependencies: [
                "WSProtocol", "WebSocketTransport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Tests/WebSocketEcho",
            swiftSettings: strict
        ),
        .testTarget(
            name: "PacingTests",
            dependencies: ["Pacing", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TLSTransportTests",
            dependencies: [
                "TLSTransport", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RedisTransportTests",
            dependencies: [
                "RedisTransport", "TLSTransport", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CommandLineInterfaceTests",
            dependencies: [
                "CommandLineInterface", "WSProtocol", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WSProtocolTests",
            dependencies: [
                "TestSupport", "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WebSocketTransportTests",
            dependencies: [
                "WebSocketTransport", "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ServerSystemTests",
            dependencies: [
                "ServerSystem", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TransferBrokerTests",
            dependencies: [
                "RelayTestFixtures", "TransferBroker", "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "StreamRelayTests",
            dependencies: [
                "RelayTestFixtures", "ServerSystem", "StreamRelay", "TLSTransport", "TestSupport", "TransferBroker",
                "WSProtocol",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RelayNodeTests",
            dependencies: [
                "Pacing", "RelayNode", "RelayTestFixtures", "ServerSystem", "StreamRelay", "TLSTransport",
                "TestSupport", "TransferBroker", "WSProtocol", "WebSocketTransport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RelayClusterTests",
            dependencies: [
                "RedisTransport", "RelayCluster", "RelayNode", "RelayTestFixtures", "ServerSystem", "StreamRelay",
                "TLSTransport", "TestSupport", "TransferBroker", "WSProtocol", "WebSocketTransport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RelayServerProgramTests",
            dependencies: [
                "RedisTransport", "RelayCluster", "RelayNode", "RelayServerProgram", "RelayTestFixtures",
                "ServerSystem", "StreamRelay", "TLSTransport", "TestSupport", "TransferBroker", "WSProtocol",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TransferClientTests",
            dependencies: [
                "TransferClient", "WSProtocol", "TestSupport", .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RelayClientProgramTests",
            dependencies: [
                "CommandLineInterface", "RelayClientProgram", "TransferClient", "WSProtocol", "WebSocketTransport",
                "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict
        ),
    ]
)

// `RELAY_SINGLE_NODE=1 swift build` makes a relay-server without the cluster's targets, which the others must not need,
// and without hiredis. See scripts/test single-node.
if Context.environment["RELAY_SINGLE_NODE"] != nil {
    let ofCluster: Set = ["CHiredis", "RedisTransport", "RedisTransportTests", "RelayCluster", "RelayClusterTests"]
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
