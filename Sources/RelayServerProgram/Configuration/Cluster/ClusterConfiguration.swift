// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import RedisTransport
import RelayCluster
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// What makes a relay a node of a cluster.
struct ClusterConfiguration: Hashable, Sendable {
    /// Where the cluster's Redis is. Its description hides the password.
    var redis: RedisURL
    /// The file that its password stands in, if it stands in one.
    var passwordFile: String?
    /// The login at its Sentinels, where they want one.
    var sentinelLogin: RedisLogin?
    /// The file of the authority of Redis' certificate; nil for the system's.
    var redisAuthority: String?
    /// This node's name.
    var node: NodeID
    /// Where other nodes are accepted.
    var listen: ListenAddress
    /// Where other nodes dial this one. Its port is 0 when the system chooses the listener's.
    var advertise: ListenAddress
    /// The file of the authority that signs nodes' certificates.
    var authority: String
    /// This node's certificate and key.
    var certificate: CertificateFiles
    /// The file of the secret that all nodes have.
    var secretFile: String

    /// Where other nodes dial this one, once its listener has `port`.
    func advertised(port: Int) -> ListenAddress {
        guard advertise.port == 0, let port = UInt16(exactly: port) else { return advertise }
        return ListenAddress(host: advertise.host, port: port)
    }

    /// The settings whose values here are not those of `other`.
    func differences(from other: Self) -> Set<Setting> {
        var found: Set<Setting> = []
        func compare<Value: Equatable>(_ setting: Setting, _ path: KeyPath<Self, Value>) {
            if self[keyPath: path] != other[keyPath: path] { found.insert(setting) }
        }
        compare(.redis, \.redis)
        compare(.redisCA, \.redisAuthority)
        compare(.redisSentinelLogin, \.sentinelLogin)
        compare(.nodeID, \.node)
        compare(.nodeListen, \.listen)
        compare(.nodeAdvertise, \.advertise)
        compare(.clusterCA, \.authority)
        compare(.clusterCert, \.certificate.chain)
        compare(.clusterKey, \.certificate.key)
        compare(.clusterSecret, \.secretFile)
        return found
    }

    /// This configuration with what takes effect at once from `new`.
    func takingLive(from new: Self) -> Self {
        var configuration = self
        (configuration.authority, configuration.certificate) = (new.authority, new.certificate)
        return configuration
    }

    /// Checks the files, without connecting to anything.
    /// - Throws: ``OperatorError`` for the first that other nodes, or this one, could not use.
    func checkFiles() throws(OperatorError) {
        _ = try redisSettings()
        _ = try secret()
        do {
            try TLSContext.checkIdentity(
                certificateChain: certificate.chain, privateKey: certificate.key, authority: authority,
                name: node.rawValue
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// Connects to Redis and logs in, as a node would.
    /// - Throws: ``OperatorError`` when it cannot be reached or refuses this node.
    func checkRedis() async throws(OperatorError) {
        let settings = try redisSettings()
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        switch try? await RedisProbe.run(settings, on: loop).get() {
        case .connected?: return
        case .unreachable(let error)?:
            throw OperatorError(.unavailable, "Redis cannot be reached at \(redis): \(error)")
        case .refused(let refusal)?:
            throw OperatorError(.configuration, "Redis at \(redis) refuses this node: \(refusal)")
        case nil: throw OperatorError(.unavailable, "Redis cannot be reached at \(redis)")
        }
    }

    /// How to reach Redis.
    /// - Throws: ``OperatorError`` when its authority cannot be read.
    func redisSettings() throws(OperatorError) -> RedisSettings {
        do {
            var settings = try RedisSettings(url: redis, trust: redisAuthority.map { .file($0) } ?? .system)
            settings.sentinelLogin = sentinelLogin
            return settings
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// The secret that ticket keys are sealed, and users' records authenticated, with.
    /// - Throws: ``OperatorError`` when its file cannot be used.
    func secret() throws(OperatorError) -> ClusterSecret { try ClusterSecret(path: secretFile) }
}

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
            secretFile: try Self.file(
                .clusterSecret, settings, "`openssl rand -hex 32` makes its content, the same for all nodes")
        )
        if redis.password != nil, case .file(let path) = found.origin { passwordFile = path }
        if let login = try settings.text(.redisSentinelLogin) {
            sentinelLogin = try Self.sentinelLogin(login, redis)
            if case .file(let path) = login.origin { passwordFile = path }
        }
    }

    private static func sentinelLogin(
        _ found: SettingReader.Found<String>, _ redis: RedisURL
    ) throws(OperatorError) -> RedisLogin {
        let name = found.origin.name(of: .redisSentinelLogin)
        guard redis.master != nil else {
            throw OperatorError(
                found.origin.status,
                "\(name) is for Sentinels, and --redis names none: write it as "
                    + "redis+sentinel://host:port,host:port/MASTER")
        }
        do {
            return try RedisLogin(found.value)
        } catch {
            // Never the text itself.
            throw OperatorError(found.origin.status, "\(name): \(error)")
        }
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
