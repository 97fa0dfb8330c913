// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

// The byte path of this home's transfers, on whichever nodes the halves are.
extension Broker {
    /// Uses the token of `digest` up for the half `role`, which `asker` is about to hold; nil when it is no good. See
    /// ``TokenLedger/claim(_:as:now:)``.
    package mutating func claim(
        _ digest: TokenDigest, as role: TransferRole, by asker: NodeID, now: NIODeadline
    ) -> StreamClaim? {
        guard let transfer = ledger.claim(digest, as: role, now: now) else { return nil }
        var here = halves[transfer] ?? StreamHalves()
        switch role {
        case .download: here.download = asker
        case .upload: here.upload = asker
        }
        halves[transfer] = here
        return StreamClaim(stream: StreamKey(home: node, transfer: transfer), download: here.download ?? asker)
    }

    /// The receiver's request is held by `holder`.
    private mutating func downloadParked(
        _ transfer: TransferID, on holder: NodeID, _ publicURL: PublicURL?, now: NIODeadline
    ) -> [BrokerAction] {
        guard halves[transfer]?.download == holder, case .accepted? = transfers[transfer]?.state else {
            // The report came too late: the transfer has ended, and nothing else would end the stream.
            return end(transfer, on: holder, .failed(.expired))
        }
        halves[transfer]?.publicURL = publicURL
        // Without a token for the sender there will be no stream.
        let canGoOn = hasRoomForToken(now: now)
        return change(transfer, now: now) {
            canGoOn ? $0.downloadParked(now: now) : $0.streamCut(.unavailable, now: now)
        }
    }

    /// The byte path of `holder` reports about `transfer`. A node that holds no half of it has nothing to report.
    mutating func streamChanged(
        _ transfer: TransferID, _ event: StreamEvent, on holder: NodeID, _ publicURL: PublicURL?, now: NIODeadline
    ) -> [BrokerAction] {
        if event == .downloadParked { return downloadParked(transfer, on: holder, publicURL, now: now) }
        let holds = halves[transfer]?.has(holder) == true
        // Its own streams end after their transfers when it was the broker that ended them: their bytes have gone through.
        if holds || holder == node { tally.bytesRelayed &+= event.bytes }
        guard holds else { return [] }
        switch event {
        case .downloadParked: return []
        case .joined: return change(transfer, now: now) { $0.streamJoined() }
        case .finished: return change(transfer, now: now) { $0.streamFinished(now: now) }
        case .cut(let code, _): return change(transfer, now: now) { $0.streamCut(code, now: now) }
        }
    }

    /// Ends every half of `transfer` that is held anywhere.
    func endHalves(of transfer: TransferID, _ outcome: TransferOutcome) -> [BrokerAction] {
        halves[transfer]?.nodes.flatMap { end(transfer, on: $0, outcome) } ?? []
    }

    private func end(
        _ transfer: TransferID, on holder: NodeID, _ outcome: TransferOutcome
    ) -> [BrokerAction] {
        holder == node
            ? [.endStream(StreamKey(home: node, transfer: transfer), outcome)]
            : [.tell(holder, .abort(transfer: transfer, outcome))]
    }
}
