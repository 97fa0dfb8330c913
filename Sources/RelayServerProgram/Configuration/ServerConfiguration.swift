// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import RelayNode
import ServerSystem
import WSProtocol

/// Everything a running relay is told from outside, checked once: a plain value that can be compared and replaced.
struct ServerConfiguration: Hashable, Sendable {
    /// Where TLS connections are accepted; at least one.
    var listen = [ListenAddress(host: "0.0.0.0", port: 8443)]
    var certificate: CertificateFiles
    /// The directory with the users' registry and the admin socket.
    var stateDirectory: String
    /// Who may register a new name.
    var registration = ServerMessage.Registration.invite
    /// What makes this relay a node of a cluster; nil when it is the only one.
    var cluster: ClusterConfiguration?
    /// This node's own address, `https://HOST[:PORT]` without anything behind it; nil when clients are to use the
    /// address they already have.
    var publicURL: String?
    /// Where plain HTTP is answered with a redirection; nil means nowhere.
    var httpListen: ListenAddress?
    /// Where metrics and health are served over plain HTTP.
    var metricsListen = MetricsAddress.usual
    /// Balancers whose connections begin with a PROXY header; all others are taken for what they are.
    var proxyProtocol: [AddressRange] = []
    /// Balancers that end TLS, whose X-Forwarded-For is believed.
    var trustedProxy: [AddressRange] = []
    var addressLimit = AddressLimit.standard
    var memoryLimit = MemoryLimit.ofGroup
    var log = LogConfiguration()
    /// The file that gets the process id once the relay serves.
    var pidFile: String?

    /// Files with secrets that every user of the machine may read, although only the relay has to. Files that cannot be
    /// looked at are left to the code that reads them.
    var exposedFiles: [String] {
        [certificate.key, cluster?.certificate.key, cluster?.passwordFile].compactMap(\.self).filter { path in
            var status = stat()
            return unsafe stat(path, &status) == 0 && status.st_mode & 0o007 != 0
        }
    }

    /// The host that clients are told to connect to, as far as the configuration says: the public URL's.
    var publicHost: String? { publicURL.flatMap { URLComponents(string: $0)?.host?.lowercased() } }

    /// The port that people reach the relay on, as far as the configuration says: the public URL's.
    var publicPort: Int? {
        guard let publicURL, let parts = URLComponents(string: publicURL) else { return nil }
        return parts.port ?? 443
    }
}
