// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

extension ClusterConfiguration {
    /// Checks the settings of a cluster; nil when there is no `--redis`.
    /// - Throws: ``OperatorError`` for the first wrong or missing one.
    init?(_ settings: SettingReader) throws(OperatorError) {
        guard let found = try settings.text(.redis) else {
            for setting in Setting.ofCluster {
                guard let found = try settings.text(setting) else { continue }
                throw OperatorError(
                    .configuration,
                    "\(found.origin.name(of: setting)) is for a node of a cluster, and there is no --redis"
                )
            }
            return nil
        }
        let redis: RedisURL
        do {
            redis = try RedisURL(found.value)
        } catch {
            // Never the text itself: it may have a password.
            throw OperatorError(found.origin.status, "\(found.origin.name(of: .redis)): \(error)")
        }
        let redisAuthority = try ServerConfiguration.path(.redisCA, settings)
        let node = try Self.node(settings)
        let listen = try Self.needed(.nodeListen, settings, "it says where other nodes are accepted") {
            (found) throws(OperatorError) in try ServerConfiguration.address(found.value, .nodeListen, found.origin)
        }
        let advertise = try Self.advertise(settings, listen)
        let advice = "`certs/make --node ID NAME` makes it"
        let authority = try Self.file(.clusterCA, settings, advice)
        let certificate = CertificateFiles(
            chain: try Self.file(.clusterCert, settings, advice), key: try Self.file(.clusterKey, settings, advice))
        self.init(
            redis: redis, redisAuthority: redisAuthority, node: node, listen: listen, advertise: advertise,
            authority: authority, certificate: certificate,
            secretFile: try ServerConfiguration.path(.clusterSecret, settings)
        )
        if redis.password != nil, case .file(let path) = found.origin { passwordFile = path }
    }

    private static func needed<Value>(
        _ setting: Setting, _ settings: SettingReader, _ advice: String,
        _ read: (SettingReader.Found<String>) throws(OperatorError) -> Value
    ) throws(OperatorError) -> Value {
        guard let found = try settings.text(setting) else {
            throw OperatorError(.configuration, "a node of a cluster needs --\(setting.rawValue): \(advice)")
        }
        return try read(found)
    }

    private static func file(
        _ setting: Setting, _ settings: SettingReader, _ advice: String
    ) throws(OperatorError) -> String {
        guard let path = try ServerConfiguration.path(setting, settings) else {
            throw OperatorError(.configuration, "a node of a cluster needs --\(setting.rawValue): \(advice)")
        }
        return path
    }

    private static func node(_ settings: SettingReader) throws(OperatorError) -> NodeID {
        try needed(.nodeID, settings, "a name that no other node has") { (found) throws(OperatorError) in
            guard let node = NodeID(rawValue: found.value) else {
                throw OperatorError(
                    found.origin.status,
                    "\(found.origin.name(of: .nodeID)): \"\(found.value)\" is not 1 to 32 of A-Z a-z 0-9 . _ -"
                )
            }
            return node
        }
    }

    private static func advertise(
        _ settings: SettingReader, _ listen: ListenAddress
    ) throws(OperatorError) -> ListenAddress {
        guard let found = try settings.text(.nodeAdvertise) else {
            guard !listen.isWildcard else {
                throw OperatorError(
                    .configuration,
                    "a node that listens on \(listen) needs --node-advertise: HOST:PORT where other nodes reach it"
                )
            }
            return listen
        }
        let address = try ServerConfiguration.address(found.value, .nodeAdvertise, found.origin)
        guard !address.isWildcard, address.port != 0 || listen.port == 0 else {
            throw OperatorError(
                found.origin.status,
                "\(found.origin.name(of: .nodeAdvertise)): other nodes cannot dial \(address); give HOST:PORT"
            )
        }
        return address
    }
}

extension ListenAddress {
    /// Whether it stands for all addresses of the machine, which no client can dial.
    fileprivate var isWildcard: Bool {
        // `0.0.0.0`, `::`, and every longer way to write the latter; a name has other characters.
        !host.utf8.contains { ![UInt8(ascii: "0"), UInt8(ascii: "."), UInt8(ascii: ":")].contains($0) }
    }
}
