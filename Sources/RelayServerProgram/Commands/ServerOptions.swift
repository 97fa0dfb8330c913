// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ServerSystem

/// The settings as flags. What they may be is checked where all sources of settings meet, in `ServerConfiguration`.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Address for TLS connections; repeatable (default: 0.0.0.0:8443). Port 0 chooses a free port.",
            valueName: "host:port"
        )
    )
    var listen: [String] = []

    @Option(
        help: ArgumentHelp("Certificate chain of the server, PEM; `certs/make` makes one.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("Private key of the certificate, PEM, not encrypted.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Folder of the users' registry and the admin socket (default: $XDG_STATE_HOME/relay-server; env RELAY_STATE_DIR).",
            valueName: "dir"
        )
    )
    var stateDir: String?

    @Option(
        help: ArgumentHelp(
            "Who may register a name: users with an invitation, all, or none (default: invite).",
            valueName: "invite|open|closed"
        )
    )
    var registration: String?

    @OptionGroup(title: "Cluster") var cluster: ClusterOptions

    @Option(
        name: .customLong("public-url"),
        help: ArgumentHelp("URL at which clients reach this node directly, past the balancer.", valueName: "url")
    )
    var publicURL: String?

    @Option(
        help: ArgumentHelp(
            "Address for plain HTTP, which redirects to https and answers /healthz.", valueName: "host:port"
        )
    )
    var httpListen: String?

    @Option(
        help: ArgumentHelp(
            "Folder that an ACME client writes /.well-known/acme-challenge/ into; --http-listen answers from there.",
            valueName: "dir"
        )
    )
    var acmeDir: String?

    @Option(
        help: ArgumentHelp("Folder of files to show to browsers, instead of the built-in page.", valueName: "dir")
    )
    var site: String?

    @Option(
        help: ArgumentHelp(
            "Address of /metrics, /healthz and /readyz, plain HTTP (default: 127.0.0.1:9180); 'off' disables them.",
            valueName: "host:port"
        )
    )
    var metricsListen: String?

    @Option(
        help: ArgumentHelp(
            "Balancers whose connections begin with a PROXY header, version 1 or 2; no other peer may send one.",
            valueName: "cidr,..."
        )
    )
    var proxyProtocol: [String] = []

    @Option(
        help: ArgumentHelp(
            "Balancers that end TLS: the last address of X-Forwarded-For is the client's.", valueName: "cidr,..."
        )
    )
    var trustedProxy: [String] = []

    @Option(
        help: ArgumentHelp(
            "Limits of one client address, as a multiple of one user's limits (default: 8); 'off' disables them.",
            valueName: "users"
        )
    )
    var addressLimit: String?

    @Option(
        help: ArgumentHelp(
            """
            A limit of each user, repeatable: connections, offers, transfers, messages (a second), rate (bytes a \
            second) or day (bytes a day); off for none. `users limit` sets them for one user.
            """,
            valueName: "name=value"
        )
    )
    var limit: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Memory above which new work is refused, such as 512M; 'off' disables it (default: the limit of the \
            service's control group).
            """,
            valueName: "size"
        )
    )
    var memoryLimit: String?

    @Option(
        help: ArgumentHelp(
            "JSON file with the same settings. Precedence: flags, then RELAY_* variables, then this file.",
            valueName: "file"
        )
    )
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Lowest level that is logged: trace, debug, info, notice, warning, error or critical (default: info).",
            valueName: "level"
        )
    )
    var logLevel: String?

    @Option(help: ArgumentHelp("Format of log lines (default: text).", valueName: "text|json"))
    var logFormat: String?

    @Option(
        help: ArgumentHelp(
            "How much of clients' addresses is logged: all, the network (24 bits, of IPv6 48) or nothing (default: full).",
            valueName: "full|prefix|none"
        )
    )
    var logAddresses: String?

    @Option(help: ArgumentHelp("File that holds the process id while the relay serves.", valueName: "file"))
    var pidFile: String?

    @Option(help: ArgumentHelp("File that the log is appended to (default: standard error).", valueName: "file"))
    var logFile: String?

    /// The flags that were given, by setting.
    var flags: [Setting: [String]] {
        var flags: [Setting: [String]] = [:]
        for setting in Setting.allCases {
            let texts = texts(setting)
            if !texts.isEmpty { flags[setting] = texts }
        }
        return flags
    }

    private func texts(_ setting: Setting) -> [String] {
        switch setting {
        case .listen: listen
        case .proxyProtocol: proxyProtocol
        case .trustedProxy: trustedProxy
        case .limit: limit
        case .tlsCert: one(tlsCert)
        case .tlsKey: one(tlsKey)
        case .stateDir: one(stateDir)
        case .registration: one(registration)
        case .redis: one(cluster.redis)
        case .redisCA: one(cluster.redisCA)
        case .redisSentinelLogin: one(cluster.redisSentinelLogin)
        case .nodeID: one(cluster.nodeID)
        case .nodeListen: one(cluster.nodeListen)
        case .nodeAdvertise: one(cluster.nodeAdvertise)
        case .clusterCA: one(cluster.clusterCA)
        case .clusterCert: one(cluster.clusterCert)
        case .clusterKey: one(cluster.clusterKey)
        case .clusterSecret: one(cluster.clusterSecret)
        case .publicURL: one(publicURL)
        case .httpListen: one(httpListen)
        case .acmeDir: one(acmeDir)
        case .site: one(site)
        case .metricsListen: one(metricsListen)
        case .addressLimit: one(addressLimit)
        case .memoryLimit: one(memoryLimit)
        case .logLevel: one(logLevel)
        case .logFormat: one(logFormat)
        case .logAddresses: one(logAddresses)
        case .pidFile: one(pidFile)
        case .logFile: one(logFile)
        }
    }

    private func one(_ text: String?) -> [String] { text.map { [$0] } ?? [] }

    /// The checked configuration.
    func configuration() throws(OperatorError) -> ServerConfiguration {
        try ServerConfiguration(SettingReader(flags: flags, file: config))
    }
}
