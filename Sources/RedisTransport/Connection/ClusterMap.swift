// SPDX-License-Identifier: Apache-2.0

/// The servers of a Redis Cluster, as `CLUSTER SLOTS` tells them.
enum ClusterMap {
    /// All masters and replicas; what is no address is left out.
    ///
    /// - Parameter server: the server that says so. One that does not know its own host leaves it out.
    static func nodes(_ reply: RESPValue, by server: RedisEndpoint?) -> [RedisEndpoint] {
        var nodes: [RedisEndpoint] = []
        for range in (reply.elements ?? []).prefix(RedisDefaults.clusterRanges) {
            for entry in (range.elements ?? []).dropFirst(2) {
                guard nodes.count < RedisDefaults.clusterNodes, let node = node(entry, server), !nodes.contains(node)
                else { continue }
                nodes.append(node)
            }
        }
        return nodes
    }

    private static func node(_ entry: RESPValue, _ server: RedisEndpoint?) -> RedisEndpoint? {
        guard let parts = entry.elements, parts.count >= 2, let number = parts[1].number,
            let port = Int(exactly: number)
        else { return nil }
        let host = parts[0].text ?? ""
        return RedisEndpoint(host: host.isEmpty || host == "?" ? server?.host ?? "" : host, port: port)
    }
}
