// SPDX-License-Identifier: Apache-2.0

/// What came of reading the configuration and its files again.
struct ReloadOutcome: Hashable, Sendable, Codable {
    /// Settings that have other values now; certificates always count.
    var applied: [String]
    /// Settings that have other values in the configuration, which only a new process takes.
    var waiting: [String]
    /// Whether it is a node of a cluster, which is not replaced in place.
    var isNode = false
}

/// How often the configuration and its files were read again.
struct ReloadCounts: Hashable, Sendable {
    var done: UInt64 = 0
    var failed: UInt64 = 0
    /// Whether the last one changed nothing because something is wrong.
    var isFailing = false
}
