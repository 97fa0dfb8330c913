// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import RedisTransport
import RelayCluster
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayServerProgram

extension ConfigurationTests {
    private static let sentinels = "redis+sentinel://:" + "word@r,s:7/main"

    @Test("every setting can be set in each of the three places")
    func everySetting() throws {
        let values: [Setting: String] = [
            .listen: "[::1]:0", .tlsCert: "c", .tlsKey: "k", .stateDir: "/s", .registration: "open",
            .publicURL: "https://relay.example.com/", .httpListen: "127.0.0.1:80", .acmeDir: "/a", .site: "/w",
            .metricsListen: "[::1]:9",
            .logLevel: "trace", .logFormat: "json", .logAddresses: "prefix", .pidFile: "/p", .logFile: "/l",
            .proxyProtocol: "10.0.0.0/8", .trustedProxy: "::1",
            .memoryLimit: "512M", .addressLimit: "2", .limit: "rate=5M",
            .redis: Self.sentinels, .redisCA: "/rca", .redisSentinelLogin: "watch:word2",
            .nodeID: "a", .nodeListen: "0.0.0.0:9443", .nodeAdvertise: "node-a:9443", .clusterCA: "/ca",
            .clusterCert: "/cc", .clusterKey: "/ck", .clusterSecret: "/cs",
        ]
        let cluster = ClusterConfiguration(
            redis: try RedisURL(Self.sentinels), sentinelLogin: try RedisLogin("watch:word2"),
            redisAuthority: "/rca", node: .test("a"),
            listen: ListenAddress(host: "0.0.0.0", port: 9443), advertise: ListenAddress(host: "node-a", port: 9443),
            authority: "/ca", certificate: CertificateFiles(chain: "/cc", key: "/ck"), secretFile: "/cs"
        )
        #expect(values.count == Setting.allCases.count)
        let expected = ServerConfiguration(
            listen: [ListenAddress(host: "::1", port: 0)], certificate: CertificateFiles(chain: "c", key: "k"),
            stateDirectory: "/s", registration: .open, cluster: cluster, publicURL: "https://relay.example.com",
            httpListen: ListenAddress(host: "127.0.0.1", port: 80), acmeDirectory: ServedFolder(path: "/a"),
            site: ServedFolder(path: "/w"),
            metricsListen: .chosen(ListenAddress(host: "::1", port: 9)),
            proxyProtocol: [AddressRange("10.0.0.0/8")].compactMap(\.self),
            trustedProxy: [AddressRange("::1")].compactMap(\.self),
            addressLimit: AddressLimit("2") ?? .off, limits: [.rate: 5 << 20],
            memoryLimit: try MemoryLimit("512M"),
            log: LogConfiguration(level: .trace, format: .json, addresses: .prefix, file: "/l"), pidFile: "/p"
        )
        let byFlag = try SettingReader(flags: values.mapValues { [$0] }, environment: [:])
        #expect(try ServerConfiguration(byFlag) == expected)
        let variables = Dictionary(uniqueKeysWithValues: values.map { ($0.key.variable, $0.value) })
        #expect(variables["RELAY_PUBLIC_URL"] != nil)
        #expect(try ServerConfiguration(SettingReader(environment: variables)) == expected)
        let fields = values.map { setting, text in
            "\"\(setting.rawValue)\":" + (setting.isList ? "[\"\(text)\"]" : "\"\(text)\"")
        }
        let path = try file("{" + fields.joined(separator: ",") + "}")
        // Only a file may be open to others.
        var inFile = expected
        inFile.cluster?.passwordFile = path
        #expect(try ServerConfiguration(SettingReader(file: path, environment: [:])) == inFile)
    }
}

extension CertificateTests {
    @Test("of an authority that another takes the place of is no problem; when all have expired it is")
    func authorities() throws {
        let certificates = try TestCertificates(nodes: ["n1"])
        let temporary = try TemporaryDirectory()
        let expired = try Data(contentsOf: URL(fileURLWithPath: certificates.expired()))
        let both = try temporary.write(
            expired + Data(contentsOf: URL(fileURLWithPath: certificates.ca)), to: "both.pem")
        let old = try temporary.write(expired, to: "old.pem")
        let now = Int64(Date().timeIntervalSince1970)
        for (authority, expected) in [(both, []), (old, [.expired])] as [(String, [CertificateProblem.Kind])] {
            var settings = configuration(certificates.server, certificates)
            settings.cluster = ClusterConfiguration(
                redis: try .init("rediss://redis.example.com"), redisAuthority: authority, node: .test("n1"),
                listen: ListenAddress(host: "127.0.0.1", port: 0), advertise: ListenAddress(host: "127.0.0.1", port: 0),
                authority: certificates.ca,
                certificate: CertificateFiles(chain: certificates.node("n1"), key: certificates.nodeKey("n1")),
                secretFile: "/cs")
            let problems = try CertificateInventory(settings).problems(at: now)
            #expect(problems.map(\.kind) == expected)
            #expect(problems.allSatisfy { $0.setting == .redisCA })
        }
    }

    @Test("an expired certificate of the node is fatal, and one of its authority is reported")
    func expired() throws {
        let certificates = try TestCertificates(nodes: ["n1"])
        let old = try certificates.expired()
        let node = CertificateFiles(chain: certificates.node("n1"), key: certificates.nodeKey("n1"))
        let expired = CertificateFiles(chain: old, key: certificates.serverKey)
        let now = Int64(Date().timeIntervalSince1970)
        for (certificate, authority, setting) in [
            (expired, certificates.ca, .clusterCert), (node, old, .clusterCA),
        ] as [(CertificateFiles, String, Setting)] {
            var settings = configuration(certificates.server, certificates)
            settings.cluster = ClusterConfiguration(
                redis: try .init("redis://127.0.0.1"), redisAuthority: nil, node: .test("n1"),
                listen: ListenAddress(host: "127.0.0.1", port: 0), advertise: ListenAddress(host: "127.0.0.1", port: 0),
                authority: authority, certificate: certificate, secretFile: "/cs")
            let problems = try CertificateInventory(settings).problems(at: now)
            #expect(problems.map(\.kind) == [.expired] && problems.map(\.setting) == [setting])
            #expect(problems.allSatisfy { $0.isFatal })
        }
    }
}
