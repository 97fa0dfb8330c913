// SPDX-License-Identifier: Apache-2.0

@testable import TransferBroker

/// Who is there and what may happen in one exploration. Alice, on the first node, offers one transfer to bob: unasked,
/// or once she has heard that he asks for it.
struct ModelScenario {
    /// Something that need not happen. Each takes one off the budget of a path.
    enum Surprise: Hashable, CaseIterable {
        /// A link breaks for so long that one side takes the other for lost.
        case cut
        /// A node dies, and another process takes its place.
        case crash
        /// A node is told to stop.
        case drain
        /// A client calls the transfer off, or declines it; or does not wait any more for what it asked for.
        case cancel, decline, withdraw
        /// A client's connection is gone.
        case leave
        /// The receiver says `delivered` before its download has ended.
        case early
        /// A stream is cut at the receiver's or at the sender's end.
        case cutStream
        /// Who asked about a token waits no longer.
        case giveUp
        /// The earliest deadline passes before anything else happens.
        case timer
        /// What Redis said is not heard, or heard twice.
        case loseLook, repeatLook
        /// A link breaks its promise: a message never arrives, comes twice, or overtakes those before it.
        case lose, duplicate, reorder

        /// Those that links rule out.
        static let broken: Set<Surprise> = [.lose, .duplicate, .reorder]
    }

    let name: String

    /// The nodes on which bob has a session, by their indices.
    var bobs = [1, 2]
    /// Whether bob's sessions begin to receive after the offer only.
    var isOfferFirst = false
    /// Whether bob's sessions receive nothing, and all ask alice, under one id, for what she offers.
    var isPull = false
    /// The nodes on which the download's token is shown, and the upload's.
    var downloads = [1, 2]
    var uploads = [0, 2]
    /// The name of the client that connects first to a node that has come up again.
    var successor: String?
    var surprises: Set<Surprise> = []
    /// How many surprises one path may have.
    var budget = 0
    /// There are at least so many states with the budget above: fewer would mean that something no longer happens.
    var floor = 1

    /// Whether links may break their promise: then no client need hear the end, but all must be forgotten.
    var isBroken: Bool { !surprises.isDisjoint(with: Surprise.broken) }
}
