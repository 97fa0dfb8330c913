// SPDX-License-Identifier: Apache-2.0

/// What happens to a session, in order, for its one loop. Anything may post from any thread.
struct EventQueue<Event: Sendable>: Sendable {
    /// The events; one reader.
    let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    init() {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Defaults.mostEvents))
    }

    /// Adds an event of this program's own: there are few of them, and room is kept for them.
    func post(_ event: Event) { continuation.yield(event) }

    /// Adds an event that somebody else can cause at will. False when so many wait that something is wrong.
    func postForeign(_ event: Event) -> Bool {
        guard case .enqueued(let room) = continuation.yield(event) else { return false }
        return room > Defaults.mostEvents / 2
    }
}
