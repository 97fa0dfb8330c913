// SPDX-License-Identifier: Apache-2.0

/// Where the answers of the metrics listener come from.
protocol MetricsSource: Sendable {
    /// The figures of now. In a cluster it asks Redis for some; without an answer they are the last known ones.
    func snapshot() async -> MetricsSnapshot
    /// Whether new clients are wanted; waits for nothing.
    var readiness: Readiness { get }
}
