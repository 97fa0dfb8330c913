// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ServerSystem

/// The settings as flags. What they may be is checked where all sources of settings meet, in `ServerConfiguration`.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Accept TLS connections here; repeatable (default: 0.0.0.0:8443). Port 0 takes a free one.",
            valueName: "host:port"
        )
    )
    var listen: [String] = []

    @Option(
        help: ArgumentHelp("The server's certificate and its chain, PEM; `certs/make` makes one.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's private key, PEM, not encrypted.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Users and the admin socket (default: $XDG_STATE_HOME/relay-server; env RELAY_STATE_DIR).",
            valueName: "dir"
        )
    )
    var stateDir: String?

    @Option(
        help: ArgumentHelp(
            "Who may register a name: who has an invitation, anyone, or nobody (default: invite).",
            valueName: "invite|open|closed"
        )
    )
    var registration: String?

    @OptionGroup(title: "Cluster") var cluster: ClusterOptions

    @Option(
        name: .customLong("public-url"),
        help: ArgumentHelp("This node's own address, where clients can reach it directly.", valueName: "url")
    )
    var publicURL: String?

    @Option(
        help: ArgumentHelp(
            "Plain HTTP: redirects to https, answers /healthz, nothing else.", valueName: "host:port"
        )
    )
    var httpListen: String?

    @Option(
        help: ArgumentHelp(
            "/metrics, /healthz and /readyz, over plain HTTP (default: 127.0.0.1:9180); 'off' for nowhere.",
            valueName: "host:port"
        )
    )
    var metricsListen: String?

    @Option(
        help: ArgumentHelp(
            "Balancers whose connections begin with a PROXY header, version 1 or 2; from others none is accepted.",
            valueName: "cidr,..."
        )
    )
    var proxyProtocol: [String] = []

    @Option(
        help: ArgumentHelp(
            "Balancers that end TLS: the last X-Forwarded-For of their requests is the client.", valueName: "cidr,..."
        )
    )
    var trustedProxy: [String] = []

    @Option(
        help: ArgumentHelp(
            "How many users' limits one address may use up together (default: 8); 'off' for no limits by address.",
            valueName: "users"
        )
    )
    var addressLimit: String?

    @Option(
        help: ArgumentHelp(
            """
            Refuse new work before the process uses more memory than this, such as 512M; 'off' for no limit (default: \
            that of the service's control group).
            """,
            valueName: "size"
        )
    )
    var memoryLimit: String?

    @Option(
        help: ArgumentHelp(
            "The same settings in a JSON file; flags win over the environment (RELAY_*) wins over the file.",
            valueName: "file"
        )
    )
    var config: String?

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical (default: info).", valueName: "level"
        )
    )
    var logLevel: String?

    @Option(help: ArgumentHelp("How log lines look (default: text).", valueName: "text|json"))
    var logFormat: String?

    @Option(help: ArgumentHelp("Write the process id here once the relay serves.", valueName: "file"))
    var pidFile: String?

    @Option(help: ArgumentHelp("Append the log to this file instead of standard error.", valueName: "file"))
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
        case .tlsCert: one(tlsCert)
        case .tlsKey: one(tlsKey)
        case .stateDir: one(stateDir)
        case .registration: one(registration)
        case .redis: one(cluster.redis)
        case .redisCA: one(cluster.redisCA)
        case .nodeID: one(cluster.nodeID)
        case .nodeListen: one(cluster.nodeListen)
        case .nodeAdvertise: one(cluster.nodeAdvertise)
        case .clusterCA: one(cluster.clusterCA)
        case .clusterCert: one(cluster.clusterCert)
        case .clusterKey: one(cluster.clusterKey)
        case .clusterSecret: one(cluster.clusterSecret)
        case .publicURL: one(publicURL)
        case .httpListen: one(httpListen)
        case .metricsListen: one(metricsListen)
        case .addressLimit: one(addressLimit)
        case .memoryLimit: one(memoryLimit)
        case .logLevel: one(logLevel)
        case .logFormat: one(logFormat)
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
