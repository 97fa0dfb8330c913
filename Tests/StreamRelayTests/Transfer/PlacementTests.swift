// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import RelayTestFixtures
import Testing
import TransferBroker

@testable import StreamRelay

@Suite struct PlacementTests {
    private let upload = EmbeddedEventLoop()
    private let other = EmbeddedEventLoop()

    @Test func aDownloadOfThisNodeIsLocalOnTheSameLoopAndElseTheConnectionMoves() {
        #expect(Placement(holder: .alone, node: .alone, download: upload, upload: upload) == .local)
        #expect(Placement(holder: .alone, node: .alone, download: other, upload: upload) == .move)
    }

    @Test func aDownloadOfAnotherNodeIsReachedThereWhateverIsHere() {
        for here in [nil, upload, other] {
            #expect(
                Placement(holder: .test("b"), node: .test("a"), download: here, upload: upload) == .hop(.test("b")))
        }
    }

    @Test func aDownloadThatHasLeftIsGone() {
        #expect(Placement(holder: .test("a"), node: .test("a"), download: nil, upload: upload) == .gone)
    }
}
