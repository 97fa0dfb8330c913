// SPDX-License-Identifier: Apache-2.0

@testable import TransferBroker

/// What may happen next, by whose doing.
struct ModelStep {
    /// Happens sooner or later.
    var due: [ModelEvent] = []
    /// Up to a client, or to the bytes.
    var free: [ModelEvent] = []
    /// Costs one of the path's budget.
    var surprising: [ModelEvent] = []
}
