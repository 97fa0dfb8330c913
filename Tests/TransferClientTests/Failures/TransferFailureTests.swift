// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import TransferClient

/// The same code means something else to each side, and each hears what it can do.
@Suite struct TransferFailureTests {
    private let bob: PeerName

    init() throws { bob = try #require(PeerName(rawValue: "bob")) }

    private func both(_ code: FailureCode) -> (sender: String, receiver: String) {
        (
            TransferFailure(code, side: .sender, peer: bob).description,
            TransferFailure(code, side: .receiver, peer: bob).description
        )
    }

    @Test func theSideWhoseConnectionWasCutIsNamed() {
        let (theirs, ours) = ("the connection of bob was cut", "our own connection was cut")
        #expect(both(.receiverGone).sender.hasPrefix(theirs) && both(.receiverGone).receiver.hasPrefix(ours))
        #expect(both(.senderGone).sender.hasPrefix(ours) && both(.senderGone).receiver.hasPrefix(theirs))
    }

    @Test func theAdviceDependsOnTheSide() {
        #expect(both(.noSpace).sender == "bob has no room for it; ask bob to make room")
        #expect(both(.noSpace).receiver == "there is no room for it; make room, or name another folder with --output")
        #expect(both(.tooLarge).sender == "it is larger than bob takes; ask bob to raise --max-size")
        #expect(both(.tooLarge).receiver == "it is larger than --max-size; raise --max-size to take it")
        #expect(both(.cannotRead).sender == "it cannot be read; look at the file")
        #expect(both(.cannotRead).receiver == "bob cannot read it; ask bob")
        #expect(both(.declined).sender == "bob declined it; ask bob")
    }

    @Test func whatIsTheRelaysIsTheSameForBoth() {
        let codes: [FailureCode] = [.rateLimited, .tooManyTransfers, .draining, .unavailable, .clusterUnavailable]
        for code in codes { #expect(both(code).sender == both(code).receiver, "\(code)") }
        #expect(both(.loginRefused).sender.contains("login_refused"))
    }

    @Test func theStatusIsTheCodesUnlessItIsGiven() {
        #expect(TransferFailure(.noSpace, side: .sender, peer: bob).status == .inputOutput)
        let other = TransferFailure(code: .noSpace, "it is full", "make room", status: .gaveUp)
        #expect(other.status == .gaveUp && other.what == "it is full" && other.description == "it is full; make room")
    }
}
