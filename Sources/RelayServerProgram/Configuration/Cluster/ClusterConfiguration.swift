// SPDX-License-Identifier: Apache-2.0

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
    /// The file of the secret that ticket keys are sealed with; nil when each node makes its own.
    var secretFile: String?

    /// Where other nodes dial this one, once its listener has `port`.
    func advertised(port: Int) -> ListenAddress {
        guard advertise.port == 0, let port = UInt16(exactly: port) else { return advertise }
        return ListenAddress(host: advertise.host, port: port)
    }

    /// Checks the files, without connecting to anything.
    /// - Throws: ``OperatorError`` in words for the first that other nodes, or this one, could not use.
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

    /// How to reach Redis.
    /// - Throws: ``OperatorError`` when its authority cannot be read.
    func redisSettings() throws(OperatorError) -> RedisSettings {
        do {
            return try RedisSettings(url: redis, trust: redisAuthority.map { .file($0) } ?? .system)
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// The secret that ticket keys are sealed with; nil when there is none.
    /// - Throws: ``OperatorError`` when its file cannot be used.
    func secret() throws(OperatorError) -> ClusterSecret? {
        guard let secretFile else { return nil }
        return try ClusterSecret(path: secretFile)
    }
}
