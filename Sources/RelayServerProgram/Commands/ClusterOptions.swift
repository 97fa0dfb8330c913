// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The settings of a node of a cluster as flags.
struct ClusterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Redis of the cluster; makes this relay a node of it. Several host:port with commas name nodes of a Redis "
                + "Cluster; redis+sentinel://host:port/MASTER names Sentinels. A URL with a password belongs in "
                + "RELAY_REDIS or the file: all users of the machine can read arguments.",
            valueName: "redis[s]://[user:password@]host:port[/db]"
        )
    )
    var redis: String?

    @Option(
        help: ArgumentHelp(
            "Login at the Sentinels of a redis+sentinel:// URL, where they want one; it belongs where that URL does.",
            valueName: "[user:]password"
        )
    )
    var redisSentinelLogin: String?

    @Option(
        name: .customLong("redis-ca"),
        help: ArgumentHelp(
            "CA of a rediss:// server's certificate, PEM (default: the system's).", valueName: "file")
    )
    var redisCA: String?

    @Option(
        name: .customLong("node-id"),
        help: ArgumentHelp("Name of this node, unique in the cluster: 1 to 32 of A-Z a-z 0-9 . _ -", valueName: "id")
    )
    var nodeID: String?

    @Option(help: ArgumentHelp("Address for connections of other nodes.", valueName: "host:port"))
    var nodeListen: String?

    @Option(
        help: ArgumentHelp(
            "Address at which other nodes reach this one (default: --node-listen).", valueName: "host:port")
    )
    var nodeAdvertise: String?

    @Option(
        name: .customLong("cluster-ca"),
        help: ArgumentHelp("CA of the nodes' certificates, PEM; it signs nothing else.", valueName: "file")
    )
    var clusterCA: String?

    @Option(help: ArgumentHelp("Certificate of this node, PEM; its name is the node id.", valueName: "file"))
    var clusterCert: String?

    @Option(help: ArgumentHelp("Private key of --cluster-cert, PEM.", valueName: "file"))
    var clusterKey: String?

    @Option(
        help: ArgumentHelp(
            "Secret that all nodes share, 32 or more random bytes in hexadecimal: clients resume TLS on any node.",
            valueName: "file"
        )
    )
    var clusterSecret: String?
}
