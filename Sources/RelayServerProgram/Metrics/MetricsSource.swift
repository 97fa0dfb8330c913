// SPDX-License-Identifier: Apache-2.0

/// Where the answers of the metrics listener come from.
struct MetricsSource: Sendable {
    /// The figures of now. In a cluster it asks Redis for some; without an answer they are the last known ones.
    let snapshot: @Sendable () async -> MetricsSnapshot
    /// Whether new clients are wanted; waits for nothing.
    let readiness: @Sendable () -> Readiness
}
