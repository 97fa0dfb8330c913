// SPDX-License-Identifier: Apache-2.0

import WSProtocol

@testable import TransferBroker

/// One thing that may happen next in the model.
enum ModelEvent {
    /// The message at `index` of a link arrives; the copy stays when it is to arrive again.
    case deliver(from: Int, to: Int, index: Int, isCopy: Bool)
    case lose(from: Int, to: Int, index: Int)
    /// A node finds out that it shares nothing with another any more.
    case notice(Int, lost: Int)
    case cut(Int, lost: Int)
    case crash(Int)
    case drain(Int)
    case look(Int, index: Int, isCopy: Bool)
    case loseLook(Int, index: Int)
    /// A token that was asked for has been made.
    case mint(Int, index: Int)
    case act(Int, ModelClient.Act)
    /// The connection of a client is gone.
    case leave(Int)
    case show(Int, at: Int)
    case giveUp(Int, question: UInt64)
    /// A half whose token was found good is held.
    case attach(Int, index: Int)
    case finish(Int, pipe: Int)
    case cutStream(Int, pipe: Int, FailureCode)
    case timer
}

/// What may happen next, by whose doing.
struct ModelStep {
    /// Happens sooner or later.
    var due: [ModelEvent] = []
    /// Up to a client, or to the bytes.
    var free: [ModelEvent] = []
    /// Costs one of the path's budget.
    var surprising: [ModelEvent] = []
}
