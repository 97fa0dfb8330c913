// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Which content is offered next, and how many are on their way at once. Pure.
///
/// No receiver waits for another one, which may be slow, not there, or ask its person. To one receiver, small files go
/// several at a time, as each costs some round trips; large ones go one after the other, as they would only share the
/// line. A receiver whose person may have to be asked is asked about one content at a time.
package struct SendQueue: Sendable {
    /// One content for one receiver.
    package struct Item: Hashable, Sendable {
        /// The id under which it is shown.
        package let transfer: TransferID
        package let peer: PeerName
        /// Bytes of content; nil where that is not known.
        package let size: UInt64?

        package init(transfer: TransferID, peer: PeerName, size: UInt64?) {
            self.transfer = transfer
            self.peer = peer
            self.size = size
        }

        /// Bytes that count towards the limit: all there can be where the size is not known.
        fileprivate var bytes: UInt64 { size ?? .max }
    }

    /// Whether receivers who are not there are waited for at all.
    private let waits: Bool
    /// How many may be on their way, however large they are and to whomever, since each was asked for; nil where they
    /// were not.
    private var mostAnswers: Int?
    private var first: ArraySlice<Item>
    /// Receivers that did not appear in the time that there was: they are not waited for a second time.
    private var missed: Set<PeerName> = []
    /// Contents that are on their way.
    private var active: [Item] = []
    /// Receivers whose client accepts at once, so that no person is asked.
    private var unasked: Set<PeerName> = []

    /// - Parameter waits: whether receivers who are not there are waited for at all.
    package init(_ items: [Item], waits: Bool) {
        self.waits = waits
        first = items[...]
    }

    /// A queue of what others ask for while it is used: in the order in which they asked, and to those who wait for it.
    package init(mostAnswers: Int) {
        self.init([], waits: false)
        self.mostAnswers = mostAnswers
    }

    /// Adds a content behind those that wait.
    package mutating func append(_ item: Item) { first.append(item) }

    /// Takes the next content that may go now; nil when there is none. Those for the same receiver keep their order.
    ///
    /// - Returns: the content, and whether its offer may wait for a receiver who is not there.
    package mutating func next() -> (item: Item, waits: Bool)? {
        var held: Set<PeerName> = []
        for index in first.indices where !held.contains(first[index].peer) {
            let item = first[index]
            guard admits(item) else {
                held.insert(item.peer)
                continue
            }
            first.remove(at: index)
            active.append(item)
            return (item, waits && !missed.contains(item.peer))
        }
        return nil
    }

    /// Whether `peer` has been waited for as long as it may be.
    package func hasMissed(_ peer: PeerName) -> Bool { missed.contains(peer) }

    /// The receiver of a content that was offered did not appear in the time that there was.
    package mutating func waitedInVain(for peer: PeerName) { missed.insert(peer) }

    /// The receiver of `transfer` accepted it, so long after it was rung.
    package mutating func accepted(_ transfer: TransferID, after wait: TimeAmount) {
        // With several on their way, one may have waited for another.
        guard let peer = active.first(where: { $0.transfer == transfer })?.peer,
            active.count(where: { $0.peer == peer }) <= 1
        else { return }
        if wait <= TransferDefaults.unaskedAnswer { unasked.insert(peer) } else { unasked.remove(peer) }
    }

    /// `transfer` goes on as `next`, which takes its turn.
    package mutating func becomes(_ transfer: TransferID, _ next: TransferID) {
        guard let index = active.firstIndex(where: { $0.transfer == transfer }) else { return }
        active[index] = Item(transfer: next, peer: active[index].peer, size: active[index].size)
    }

    /// `transfer` is over.
    package mutating func ended(_ transfer: TransferID) { active.removeAll { $0.transfer == transfer } }

    private func admits(_ item: Item) -> Bool {
        if let mostAnswers { return active.count < mostAnswers }
        let others = active.filter { $0.peer == item.peer }
        guard !others.isEmpty else { return Set(active.map(\.peer)).count < TransferDefaults.parallelReceivers }
        guard unasked.contains(item.peer), others.count < TransferDefaults.parallelSends else { return false }
        var left = TransferDefaults.parallelSendBytes
        for bytes in others.map(\.bytes) + [item.bytes] {
            guard bytes <= left else { return false }
            left -= bytes
        }
        return true
    }
}
