// SPDX-License-Identifier: Apache-2.0

import Foundation
import RelayCluster
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing

@testable import RelayServerProgram

@Suite("Configuration of a cluster's node")
struct ClusterConfigurationTests {
    private static let login = "user" + ":hidden-word@"
    private static let complete: [Setting: [String]] = [
        .tlsCert: ["c"], .tlsKey: ["k"], .stateDir: ["s"], .redis: ["redis://\(login)r:1/2"],
        .nodeID: ["a"], .nodeListen: ["127.0.0.1:9"], .clusterCA: ["ca"], .clusterCert: ["cc"], .clusterKey: ["ck"],
        .clusterSecret: ["cs"],
    ]

    private func read(_ changes: [Setting: [String]?] = [:]) throws -> ServerConfiguration {
        var flags = Self.complete
        for (setting, value) in changes { flags[setting] = value }
        return try ServerConfiguration(SettingReader(flags: flags, environment: ["HOME": "/h"]))
    }

    private func failure(_ changes: [Setting: [String]?]) throws -> OperatorError {
        do {
            _ = try read(changes)
        } catch {
            return try #require(error as? OperatorError)
        }
        throw InVain(description: "nothing was wrong")
    }

    @Test("what has changed is named, one by one; certificates are taken at once")
    func differences() throws {
        let old = try read()
        let new = try read([
            .clusterCA: ["x"], .clusterCert: ["x"], .clusterKey: ["x"], .clusterSecret: ["x"], .redisCA: ["x"],
            .nodeAdvertise: ["h:1"],
        ])
        let waiting: Set<Setting> = [.clusterSecret, .redisCA, .nodeAdvertise]
        #expect(new.differences(from: old) == waiting.union([.clusterCA, .clusterCert, .clusterKey]))
        #expect(new.differences(from: old.takingLive(from: new)) == waiting)
        #expect(try read([.redis: ["redis://r:2"]]).differences(from: old) == [.redis])
    }

    @Test("what is not said follows from what is")
    func defaults() throws {
        let cluster = try #require(try read().cluster)
        #expect(cluster.advertise == cluster.listen)
        #expect(cluster.redisAuthority == nil)
        let free = try #require(try read([.nodeListen: ["127.0.0.1:0"]]).cluster)
        #expect(free.advertised(port: 77) == ListenAddress(host: "127.0.0.1", port: 77))
        #expect(cluster.advertised(port: 77).port == 9)
        #expect(
            try read([
                .redis: nil, .nodeID: nil, .nodeListen: nil, .clusterCA: nil, .clusterCert: nil, .clusterKey: nil,
                .clusterSecret: nil,
            ])
            .cluster == nil)
    }

    @Test("the password of Redis is not shown by anything")
    func password() throws {
        let configuration = try read()
        var text = "\(configuration) \(String(reflecting: configuration))"
        dump(configuration, to: &text)
        #expect(!text.contains("hidden-word"))
        let login = Self.login
        for url in ["redis://\(login)", "http://\(login)r", "redis://\(login)r:x"] {
            let error = try failure([.redis: [url]])
            #expect(!error.description.contains("hidden-word"))
            #expect(error.status == .usage && error.description.contains("--redis"))
        }
    }

    @Test(
        "a part that is missing is named",
        arguments: [Setting.nodeID, .nodeListen, .clusterCA, .clusterCert, .clusterKey, .clusterSecret])
    func missing(setting: Setting) throws {
        let error = try failure([setting: nil])
        #expect(error.status == .configuration && error.message.contains("--\(setting.rawValue)"))
    }

    @Test(
        "parts of a cluster without a Redis are a slip of the pen",
        arguments: [
            Setting.nodeID, .nodeListen, .clusterCA, .clusterSecret, .redisCA, .redisSentinelLogin, .nodeAdvertise,
        ])
    func withoutRedis(setting: Setting) throws {
        var changes: [Setting: [String]?] = [:]
        for other in Self.complete.keys where ![.tlsCert, .tlsKey, .stateDir].contains(other) {
            changes.updateValue(nil, forKey: other)
        }
        changes[setting] = ["x"]
        let error = try failure(changes)
        #expect(error.status == .configuration && error.message.contains("--\(setting.rawValue)"))
    }

    @Test(
        "wrong values are named",
        arguments: [
            (Setting.nodeID, "a b"), (.nodeID, String(repeating: "a", count: 33)), (.nodeListen, "9"),
            (.nodeAdvertise, "0.0.0.0:9"), (.nodeAdvertise, "[::]:9"), (.nodeAdvertise, "host:0"),
            (.nodeAdvertise, "h"),
        ])
    func wrong(setting: Setting, text: String) throws {
        let error = try failure([setting: [text]])
        #expect(error.status == .usage && error.message.contains("--\(setting.rawValue)"))
    }

    @Test("a login for Sentinels needs Sentinels, and is not shown", arguments: ["hidden-word", "a:hidden-word%"])
    func sentinelLogin(text: String) throws {
        // The second one is none, even with Sentinels.
        let url = text.contains("%") ? "redis+sentinel://h/main" : "redis://h"
        let error = try failure([.redis: [url], .redisSentinelLogin: [text]])
        #expect(error.status == .usage && error.message.contains("--redis-sentinel-login"))
        #expect(!error.description.contains("hidden-word"))
    }

    @Test("a wildcard is no address to dial", arguments: ["0.0.0.0:9", "[::]:9", "[0:0:0:0:0:0:0:0]:9"])
    func wildcard(address: String) throws {
        #expect(try failure([.nodeListen: [address]]).message.contains("--node-advertise"))
        #expect(try read([.nodeListen: [address], .nodeAdvertise: ["node-a:9"]]).cluster?.advertise.host == "node-a")
    }

    @Test("certificates are checked as other nodes will check them")
    func certificates() throws {
        let certificates = try TestCertificates(nodes: ["a", "b"])
        let others = try TestCertificates(nodes: ["a"])
        let secret = certificates.path + "/secret"
        try Data(String(repeating: "5a", count: 32).utf8).write(to: URL(fileURLWithPath: secret))
        #expect(unsafe chmod(secret, 0o600) == 0)
        func check(
            _ certificate: String = "node-a.pem", key: String = "node-a.key", authority: String? = nil,
            secret: String? = secret
        ) throws {
            let changes: [Setting: [String]?] = [
                .clusterCert: [certificates.path + "/" + certificate], .clusterKey: [certificates.path + "/" + key],
                .clusterCA: [authority ?? certificates.ca], .clusterSecret: secret.map { [$0] },
            ]
            try read(changes).cluster?.checkFiles()
        }
        try check()
        let wrong: [(String, () throws -> Void)] = [
            ("does not belong", { try check(key: "node-b.key") }),
            ("does not name a", { try check("node-b.pem", key: "node-b.key") }),
            ("not signed", { try check(authority: others.ca) }),
            ("cannot read", { try check("none.pem") }),
            ("cannot read", { try check(authority: certificates.path + "/none.pem") }),
            ("cannot read the cluster's secret", { try check(secret: certificates.path + "/none") }),
            ("needs --cluster-secret", { try check(secret: nil) }),
            ("no valid", { try check(authority: certificates.path + "/node-a.key") }),
        ]
        for (words, body) in wrong {
            let error = #expect(throws: OperatorError.self) { try body() }
            #expect(error?.status == .configuration)
            #expect(error?.message.contains(words) == true, "\(words): \(error?.message ?? "")")
        }
    }
}
