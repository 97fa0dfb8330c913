// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// What asks for a ``BlockingThread`` is on none of the loops that carry bytes, wherever it was started.
@Suite struct BlockingThreadTests {
    private let work = BlockingWork(threads: 1, name: "test-")
    private let executor = EventLoopExecutor(MultiThreadedEventLoopGroup.singleton.any())

    private static func isOnALoop() -> Bool { MultiThreadedEventLoopGroup.currentEventLoop != nil }

    @Test func whatATaskOfALoopHasDoneIsDoneOnNoLoop() async throws {
        let work = work
        let places = try await Task(executorPreference: executor) {
            [
                Self.isOnALoop(),
                try await work.run { _ in Self.isOnALoop() },
                try await work.runAbandonable { _ in Self.isOnALoop() },
                try await work.run { Self.isOnALoop() },
                Self.isOnALoop(),
            ]
        }.value
        #expect(places == [true, false, false, false, true])
    }

    /// A whole transfer whose tasks run on a loop, as those of the program do: what is stored was opened in the same
    /// call.
    @Test func chunksAreOpenedAndStoredOnNoLoop() async throws {
        let files = try SentFiles()
        let tree = try files.tree(size: 200_000)
        let attempt = try SealedAttempt(tree.summary)
        let (sink, stream) = (MemorySink(), try attempt.stream(tree))
        let opening = ChunkOpening(attempt.offer, keys: attempt.keys, into: sink, limit: nil)
        let error = await Task(executorPreference: executor) { () -> ClientError? in
            let downloader = Downloader(
                stream: MemoryDownload([stream]), sink: sink, opening: opening, progress: { _ in }, wants: { _ in }
            )
            switch await downloader.result() {
            case .success: return nil
            case .failure(let error): return error
            }
        }.value
        #expect(error == nil && sink.files == [SentFiles.content(200_000)] && sink.callsOnLoops == 0)
    }
}
