// SPDX-License-Identifier: Apache-2.0

import ServerSystem

/// Everything that can be configured, by the one name it has everywhere: `--tls-cert` as a flag, `RELAY_TLS_CERT` in
/// the environment, `"tls-cert"` in the file.
enum Setting: String, CaseIterable, Sendable {
    case listen
    case tlsCert = "tls-cert"
    case tlsKey = "tls-key"
    case stateDir = "state-dir"
    case registration
    case redis
    case redisCA = "redis-ca"
    case redisSentinelLogin = "redis-sentinel-login"
    case nodeID = "node-id"
    case nodeListen = "node-listen"
    case nodeAdvertise = "node-advertise"
    case clusterCA = "cluster-ca"
    case clusterCert = "cluster-cert"
    case clusterKey = "cluster-key"
    case clusterSecret = "cluster-secret"
    case publicURL = "public-url"
    case httpListen = "http-listen"
    case acmeDir = "acme-dir"
    case site
    case metricsListen = "metrics-listen"
    case proxyProtocol = "proxy-protocol"
    case trustedProxy = "trusted-proxy"
    case addressLimit = "address-limit"
    case limit
    case memoryLimit = "memory-limit"
    case logLevel = "log-level"
    case logFormat = "log-format"
    case logAddresses = "log-addresses"
    case pidFile = "pid-file"
    case logFile = "log-file"

    /// What means nothing to a relay that is the only one.
    static let ofCluster: [Setting] = [
        .redis, .redisCA, .redisSentinelLogin, .nodeID, .nodeListen, .nodeAdvertise, .clusterCA, .clusterCert,
        .clusterKey, .clusterSecret,
    ]

    /// The name of the environment variable.
    var variable: String { "RELAY_" + rawValue.uppercased().replacing("-", with: "_") }

    /// Whether it names a file or a folder.
    var isPath: Bool {
        [
            .tlsCert, .tlsKey, .acmeDir, .site, .stateDir, .redisCA, .clusterCA, .clusterCert, .clusterKey,
            .clusterSecret, .pidFile,
            .logFile,
        ].contains(self)
    }

    /// Whether it takes several values: a repeated flag, a comma-separated variable, a list in the file.
    var isList: Bool { [.listen, .proxyProtocol, .trustedProxy, .limit].contains(self) }
}

/// Where a setting's value comes from. The first one that has a value wins.
enum SettingOrigin: Hashable, Sendable {
    case flag
    case environment
    case file(String)
    /// The setting is not set: the program's own value.
    case builtIn

    /// How to name `setting` to the person who wrote it there.
    func name(of setting: Setting) -> String {
        switch self {
        case .flag, .builtIn: "--\(setting.rawValue)"
        case .environment: setting.variable
        case .file(let path): "\"\(setting.rawValue)\" in \(path)"
        }
    }

    /// What a wrong value there makes the process exit with.
    var status: ExitStatus {
        switch self {
        case .flag: .usage
        case .environment, .file, .builtIn: .configuration
        }
    }
}
