// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayCluster

/// Two nodes and a network that loses connections at any moment, in random orders that can be repeated.
@Suite struct LinkSimulationTests {
    @Test(arguments: 1...UInt64(100)) func exactlyOnceInOrderAndNothingAfterALoss(seed: UInt64) {
        var world = LinkWorld(seed: seed)
        for _ in 0..<400 { world.step() }
        world.heal()
        #expect(world.problems == [], "seed \(seed)")
    }

    /// The simulation is worth something only if it gets everywhere.
    @Test func theSimulationSeesLossesRestartsAndLongAssociations() {
        var (losses, restarts, delivered, resent) = (0, 0, 0, 0)
        for seed in 101...UInt64(150) {
            var world = LinkWorld(seed: seed)
            for _ in 0..<400 { world.step() }
            losses += world.losses
            restarts += world.restarts
            delivered += world.delivered
            resent += world.resent
        }
        #expect(losses > 50)
        #expect(restarts > 50)
        #expect(delivered > 500)
        #expect(resent > 50)
    }
}
