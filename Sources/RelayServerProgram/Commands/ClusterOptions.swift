// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// The settings of a node of a cluster as flags.
struct ClusterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Makes this relay a node of a cluster. Set a URL with a password in RELAY_REDIS or the file instead: "
                + "everybody on the machine can read arguments.",
            valueName: "redis[s]://[user:password@]host:port[/db]"
        )
    )
    var redis: String?

    @Option(
        name: .customLong("redis-ca"),
        help: ArgumentHelp(
            "The authority of a rediss:// server's certificate (default: the system's).", valueName: "file")
    )
    var redisCA: String?

    @Option(
        name: .customLong("node-id"),
        help: ArgumentHelp("This node's name: 1 to 32 of A-Z a-z 0-9 . _ -, different on each node.", valueName: "id")
    )
    var nodeID: String?

    @Option(help: ArgumentHelp("Accept the cluster's other nodes here.", valueName: "host:port"))
    var nodeListen: String?

    @Option(
        help: ArgumentHelp("Where the other nodes can reach this one (default: --node-listen).", valueName: "host:port")
    )
    var nodeAdvertise: String?

    @Option(
        name: .customLong("cluster-ca"),
        help: ArgumentHelp("The authority that signs nodes' certificates and nothing else, PEM.", valueName: "file")
    )
    var clusterCA: String?

    @Option(help: ArgumentHelp("This node's certificate; it has to name the node id.", valueName: "file"))
    var clusterCert: String?

    @Option(help: ArgumentHelp("That certificate's private key.", valueName: "file"))
    var clusterKey: String?

    @Option(
        help: ArgumentHelp(
            "32 or more random bytes in hexadecimal, the same on each node: clients resume TLS on any node.",
            valueName: "file"
        )
    )
    var clusterSecret: String?
}
