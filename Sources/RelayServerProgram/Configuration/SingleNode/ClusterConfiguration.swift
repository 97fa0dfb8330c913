// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem

/// What makes a relay a node of a cluster, in a relay-server that was built without clusters: there is no value of it.
struct ClusterConfiguration: Hashable, Sendable {
    private let never: Never

    /// Nil.
    /// - Throws: ``OperatorError`` when a setting is there that is for a node of a cluster.
    init?(_ settings: SettingReader) throws(OperatorError) {
        for setting in Setting.ofCluster {
            guard let found = try settings.text(setting) else { continue }
            throw OperatorError(
                .configuration,
                "\(found.origin.name(of: setting)) is for a node of a cluster, and this relay-server was built without clusters"
            )
        }
        return nil
    }

    var listen: ListenAddress { switch never {} }
    var certificate: CertificateFiles { switch never {} }
    var passwordFile: String? { switch never {} }
    var authority: String { switch never {} }
    var redisAuthority: String? { switch never {} }
    func differences(from other: Self) -> Set<Setting> { switch never {} }
    func takingLive(from new: Self) -> Self { switch never {} }
    func checkFiles() throws(OperatorError) {}
    func checkRedis() async throws(OperatorError) {}
}
