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
        #expect(
            both(.tooLarge).receiver
                == "it is larger than --max-size, or the policy for bob, allows; raise that to take it")
        #expect(both(.cannotRead).sender == "it cannot be read; look at the file")
        #expect(both(.cannotRead).receiver == "bob cannot read it; ask bob")
        #expect(both(.declined).sender == "bob declined it; ask bob")
    }

    /// A sender whose time is over, or whose file changes, has not interrupted anything, and did not fail to read it.
    @Test func theReceiverIsToldWhatEndedTheSender() {
        #expect(both(.timedOut).sender == "the time of --timeout is over; send it again, or with a longer --timeout")
        #expect(
            both(.timedOut).receiver
                == "bob gave up waiting; ask bob to send it again"
        )
        #expect(
            both(.sourceChanged).sender
                == "it changed while it was being sent; send it again once nothing writes to it"
        )
        #expect(both(.sourceChanged).receiver == "it changed while bob was sending it; ask bob to send it again")
        #expect(both(.cancelled).sender == "bob interrupted it; ask bob, and send it again")
        #expect(both(.cancelled).receiver == "bob interrupted it; ask bob to send it again")
        #expect(
            both(.malformedBody).receiver == "it did not reach the relay as bob had sent it; ask bob to send it again")
        let interrupted = FailureCode.allCases.filter { both($0).receiver.contains("interrupted") }
        #expect(interrupted == [.cancelled])
    }

    @Test func whatIsTheRelaysIsTheSameForBoth() {
        let codes: [FailureCode] = [.rateLimited, .tooManyTransfers, .draining, .unavailable, .clusterUnavailable]
        for code in codes { #expect(both(code).sender == both(code).receiver, "\(code)") }
        #expect(both(.loginRefused).sender.contains("login_refused"))
    }

    @Test func aLimitIsToldInTheRelaysWords() {
        let said = "bob has as many offers as there may be (2): wait until some of them are over"
        for side in TransferFailure.Side.allCases {
            let told = TransferFailure(.tooManyTransfers, side: side, peer: bob, said: said)
            #expect(told.what == "the relay says: \(said)" && told.status == .gaveUp)
            #expect(told.description == "the relay says: \(said); try again later")
        }
        // For everything else there are words of this side.
        for code in FailureCode.allCases where code != .tooManyTransfers {
            let plain = TransferFailure(code, side: .sender, peer: bob)
            #expect(TransferFailure(code, side: .sender, peer: bob, said: said) == plain, "\(code)")
        }
    }

    @Test func theStatusIsTheCodesUnlessItIsGiven() {
        #expect(TransferFailure(.noSpace, side: .sender, peer: bob).status == .inputOutput)
        let other = TransferFailure(code: .noSpace, "it is full", "make room", status: .gaveUp)
        #expect(other.status == .gaveUp && other.what == "it is full" && other.description == "it is full; make room")
    }
}
