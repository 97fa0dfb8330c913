// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

extension SessionFixture {
    /// A session that sends each of `trees` to each of `peers`.
    static func sending(
        _ trees: [SourceTree], to peers: [PeerName] = [Samples.bob], over relay: FakeRelay, waits: Bool = true
    ) throws -> SessionFixture {
        let jobs = trees.flatMap { tree in peers.map { SendJob(peer: $0, tree: tree) } }
        return try sending(jobs, over: relay, waits: waits)
    }

    /// A session that does these jobs.
    static func sending(_ jobs: [SendJob], over relay: FakeRelay, waits: Bool = true) throws -> SessionFixture {
        try SessionFixture(relay) { environment, queue in
            [Sender(jobs, waits: waits, patience: .minutes(10), environment: environment, queue: queue)]
        }
    }

    /// A session that sends `tree`, whose upload breaks, up to the next try.
    static func broken(_ tree: SourceTree, over relay: FakeRelay) async throws -> SessionFixture {
        let sending = try sending([tree], over: relay)
        let end = sending.clock.now() + TransferDefaults.explanationTimeout
        await sending.run { !relay.uploads.isEmpty && sending.session.deadline == end }
        sending.passTime()
        return sending
    }
}
