// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import TestSupport
import WSProtocol

@testable import CommandLineInterface
@testable import RedisTransport
@testable import RelayClientProgram
@testable import RelayCluster
@testable import RelayNode
@testable import RelayServerProgram
@testable import Sealing
@testable import ServerSystem
@testable import TransferBroker
@testable import TransferClient

/// What people configure, and the texts that stand in it.
enum ConfigurationDecoders {
    static let server = FuzzedDecoder(
        "configuration", longest: 4_000,
        sources: [
            "RelayServerProgram/Configuration/SettingReader.swift",
            "RelayServerProgram/Configuration/ServerConfiguration.swift",
            "RelayServerProgram/Configuration/Setting.swift",
            "RelayServerProgram/Configuration/LimitText.swift",
            "RelayServerProgram/Configuration/Cluster/ClusterConfiguration.swift",
            "RelayServerProgram/Configuration/MemoryLimit.swift",
            "RelayServerProgram/Setup/ConfigurationFile.swift",
        ]
    ) { input in
        let folder = try TemporaryDirectory()
        let rest = Data(input.dropFirst())
        let path = try folder.write(rest, to: "relay.json")
        // The files that are named there are not looked at.
        var environment = ["HOME": "/home/nobody"]
        var flags: [RelayServerProgram.Setting: [String]] = [:]
        var file: String? = path
        switch (input.first ?? 0) % 4 {
        case 0: environment["RELAY_CONFIG"] = path
        case 1:
            file = nil
            for (name, value) in pairs(rest) { environment[name] = value }
        case 2:
            file = nil
            for (name, value) in pairs(rest) {
                RelayServerProgram.Setting(rawValue: name).map { flags[$0, default: []].append(value) }
            }
        default: environment["XDG_STATE_HOME"] = "/var/lib"
        }
        let chosen = file.flatMap { environment["RELAY_CONFIG"] == nil ? $0 : nil }
        try written(path, folder.file("again.json"))
        do throws(OperatorError) {
            let reader = try SettingReader(flags: flags, file: chosen, environment: environment)
            let configuration = try ServerConfiguration(reader)
            _ = (configuration.publicHost, configuration.publicPort, configuration.limitSettings, reader.hasFile)
            for (name, value) in configuration.limitSettings.user.all {
                let limit = try? LimitText("\(name.rawValue)=\(LimitText.text(name, value))", takesDefault: false)
                if limit?.value != value { throw OperatorError(.unavailable, "") }
            }
            _ = (configuration.exposedFiles, configuration.memoryLimit.budget)
            try? configuration.checkFolders()
            if let cluster = configuration.cluster { try member(cluster) }
            let again = try ServerConfiguration(reader)
            if again != configuration { throw OperatorError(.unavailable, "") }
        } catch {
            try hold(!error.message.isEmpty, "a configuration is read in two ways")
            try hold(!"\(error)".utf8.contains(0x0A), "an error of two lines: \(error)")
        }
    }

    /// What is made of the settings of a cluster.
    private static func member(_ cluster: ClusterConfiguration) throws(OperatorError) {
        var other = cluster
        other.secretFile += "x"
        other.authority += "x"
        let isSame = cluster.differences(from: cluster).isEmpty && cluster.takingLive(from: cluster) == cluster
        let isOther = other.differences(from: cluster) == [.clusterSecret, .clusterCA]
        let advertised = cluster.advertised(port: 7)
        guard isSame, isOther, cluster.takingLive(from: other).authority == other.authority, advertised.port != 0 else {
            throw OperatorError(.unavailable, "")
        }
        try? cluster.checkFiles()
    }

    /// What `setup` reads, and writes.
    private static func written(_ path: String, _ other: String) throws {
        try hold(try ConfigurationFile(path: other) == ConfigurationFile(), "a file that is not there")
        guard var read = try? ConfigurationFile(path: path) else { return }
        try read.text.write(toFile: other, atomically: false, encoding: .utf8)
        let again = try? ConfigurationFile(path: other)
        try hold(again == read, "\(read) is \(String(describing: again)) when it is written again")
        read[.tlsCert] = .text("it")
        try hold(read.isSetUp && read[.tlsCert] == .text("it"), "a certificate that is not set")
    }

    private static func pairs(_ content: Data) -> [(String, String)] {
        String(decoding: content, as: UTF8.self).split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            return parts.count == 2 ? (parts[0], parts[1]) : nil
        }
    }

    static let texts = FuzzedDecoder(
        "texts", longest: 400,
        sources: [
            "CommandLineInterface/ByteSize.swift", "CommandLineInterface/TimeSpan.swift",
            "RedisTransport/Connection/RedisLogin.swift", "RedisTransport/Connection/RedisURL.swift",
            "RelayClientProgram/Connect/Proxy.swift", "RelayClientProgram/Connect/RelayURL.swift",
            "RelayClientProgram/Files/ExcludePattern.swift", "RelayClientProgram/Terminal/DisplayName.swift",
            "RelayNode/Limits/AddressLimit.swift", "Sealing/Fields/Fingerprint.swift",
            "ServerSystem/Sockets/AddressRange.swift",
        ]
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        try places(text)
        try addresses(text)
        try names(text)
        if let size = try? ByteSize(text) { try hold(try ByteSize("\(size.bytes)") == size, "\(size) changes") }
        if let span = try? TimeSpan(text) {
            try hold(try TimeSpan(span.description) == span, "\(span) changes")
            try hold(TimeSpan(milliseconds: span.milliseconds) == span, "\(span) is another one")
        }
        if let fingerprint = Fingerprint(text: text) {
            try hold(Fingerprint(text: fingerprint.description) == fingerprint, "\(fingerprint) changes")
        }
        if let key = SigningKey(rawValue: text) {
            let fingerprint = Fingerprint(of: key)
            try hold(Fingerprint(text: fingerprint.description.uppercased()) == fingerprint, "\(fingerprint) changes")
        }
        if let limit = AddressLimit(text) {
            let figures = [limit.unauthenticated, limit.newNames, limit.unreadBytes]
            try hold(figures.allSatisfy { ($0 == nil) == (limit.users == nil) && $0 ?? 1 > 0 }, "\(limit): \(figures)")
            _ = (limit.holding, limit.messages)
        }
        for isDefault in [false, true] {
            guard let limit = try? LimitText(text, takesDefault: isDefault), let value = limit.value else { continue }
            let again = "\(limit.name.rawValue)=\(LimitText.text(limit.name, value))"
            try hold(try LimitText(again, takesDefault: isDefault) == limit, "\(limit) changes")
        }
        _ = try? MemoryLimit(text)
        if let command = try? FileCommand(text) { _ = command.arguments([.file: text]) }
        // A pattern, and a name behind a line feed.
        let parts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let pattern = ExcludePattern(parts[0])
        _ = pattern.matches(parts.dropFirst().joined(separator: "\n").split(separator: "/").map(String.init))
    }

    private static func places(_ text: String) throws {
        if let url = try? RelayURL(text) {
            try hold((try? RelayURL(url.description)) == url, "\(url) changes")
            _ = url.controlTarget
        }
        for base in ["https://relay.example.com/prefix", "https://[::1]:8443"] {
            guard let target = (try? RelayURL(base))?.resolve(text) else { continue }
            let path = target.target.prefix { $0 != "?" }
            try hold(path.hasPrefix("/") && !path.contains("/../"), "\(target)")
            try hold(target.target.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "\(target)")
        }
        if let proxy = try? Proxy(text, variable: "https_proxy") {
            try hold(proxy.authorization?.utf8.contains { $0 < 0x20 } != true, "a field of two lines")
            try hold(proxy.description == "http://\(proxy.endpoint)", "more than the place of \(proxy)")
        }
        let settings = ProxySettings(environment: ["https_proxy": text, "no_proxy": text])
        for host in ["10.1.2.3", "relay.example.com", "::1"] {
            guard let endpoint = Endpoint.parse(host.contains(":") ? "[\(host)]" : host, defaultPort: 443) else {
                throw Broken(description: "\(host) is no host")
            }
            _ = try? settings.proxy(for: endpoint)
            _ = ProxyExemptions(text).contain(endpoint)
        }
        if let url = try? RedisURL(text) {
            _ = ("\(url)", String(reflecting: url), Mirror(reflecting: url))
            let isReachable = url.endpoints.allSatisfy { (1...65_535).contains($0.port) }
            try hold(!url.endpoints.isEmpty && isReachable, "\(url.endpoints)")
            let shown = "\(url)".replacing(":***@", with: "")
            let others =
                "redis://rediss://redis+sentinel://rediss+sentinel://\(url.user ?? "")\(url.address)/\(url.database)"
            if let password = url.password, !others.contains(password) {
                try hold(!shown.contains(password), "the password is shown")
            }
        }
        if let login = try? RedisLogin(text) {
            _ = (login.command, "\(login)", String(reflecting: login), Mirror(reflecting: login))
        }
    }

    private static func addresses(_ text: String) throws {
        if let address = ListenAddress(text) {
            try hold(ListenAddress(address.description) == address, "\(address) changes")
        }
        guard let range = AddressRange(text), let first = text.split(separator: "/").first,
            let address = try? SocketAddress(ipAddress: String(first), port: 0)
        else { return }
        try hold(range.contains(address), "\(range) is without its own first address")
    }

    private static func names(_ text: String) throws {
        for shown in [DisplayName.escape(text), DisplayName.escape(text, columns: 12), DisplayName.line(text)] {
            let isHarmless = shown.unicodeScalars.allSatisfy { !DisplayName.isDangerous($0) }
            try hold(isHarmless, "a name that does harm: \(shown.debugDescription)")
        }
        for columns in [0, 3, 40] {
            let prefix = TextWidth.prefix(of: text, columns: columns)
            let isPrefix = text.unicodeScalars.starts(with: prefix.unicodeScalars)
            try hold(isPrefix && TextWidth.columns(of: prefix) <= columns, "\(prefix) in \(columns) columns")
        }
        let path = DisplayName.path(text)
        try hold(!path.unicodeScalars.contains(where: DisplayName.isDangerous), "a path that does harm: \(path)")
        for isFolder in [false, true] {
            for length in [255, 40] {
                let name = SafeFileName(offered: text, maximumLength: length, isFolder: isFolder)
                for made in [name.text, name.numbered(12)] {
                    try hold((1...max(32, length)).contains(made.utf8.count), "a name of \(made.utf8.count) bytes")
                    try hold(!made.contains("/") && !made.hasPrefix(".") && !made.utf8.contains(0), "\(made)")
                }
            }
        }
    }
}
