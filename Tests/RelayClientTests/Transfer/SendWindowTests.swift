// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClient

@Suite struct SendWindowTests {
    private let bob: PeerName
    private let carol: PeerName

    init() throws {
        bob = try #require(PeerName(rawValue: "bob"))
        carol = try #require(PeerName(rawValue: "carol"))
    }

    private func job(_ size: UInt64?, to peer: PeerName? = nil) -> SendJob {
        SendJob(peer: peer ?? bob, source: MemorySource(name: "x", size: size))
    }

    /// A window in which bob's client has accepted one content at once.
    private func window() -> SendWindow {
        var window = SendWindow()
        let first = job(1)
        window.began(first)
        window.accepted(first, after: .milliseconds(1))
        window.ended(first)
        return window
    }

    @Test func anythingGoesAlone() {
        for size in [0, 3, 1 << 50, nil] as [UInt64?] { #expect(SendWindow().admits(job(size))) }
    }

    @Test func smallOnesGoTogetherUpToTheirNumber() {
        var window = window()
        for number in 1...Defaults.parallelSends {
            let next = job(3)
            #expect(window.admits(next), "\(number)")
            window.began(next)
        }
        #expect(!window.admits(job(3)))
    }

    @Test func theBytesOnTheirWayAreBounded() {
        var window = window()
        window.began(job(Defaults.parallelSendBytes - 10))
        #expect(window.admits(job(10)) && !window.admits(job(11)))
        #expect(!window.admits(job(nil)) && !window.admits(job(.max)))
        for alone in [job(Defaults.parallelSendBytes + 1), job(nil), job(.max)] {
            var window = self.window()
            window.began(alone)
            #expect(!window.admits(job(0)))
            window.ended(alone)
            #expect(window.admits(job(0)))
        }
    }

    @Test func aPersonIsAskedAboutOneAtATime() {
        var window = SendWindow()
        let first = job(3)
        window.began(first)
        // Whether a person is asked is not known yet; somebody else is.
        #expect(!window.admits(job(3)) && window.admits(job(3, to: carol)))
        window.accepted(first, after: Defaults.unaskedAnswer + .milliseconds(1))
        #expect(!window.admits(job(3)))
        window.accepted(first, after: Defaults.unaskedAnswer)
        #expect(window.admits(job(3)))
        // With two on their way, one may wait for the other.
        let second = job(3)
        window.began(second)
        window.accepted(second, after: .seconds(60))
        #expect(window.admits(job(3)))
        window.ended(first)
        window.accepted(second, after: .seconds(60))
        #expect(!window.admits(job(3)))
    }
}
