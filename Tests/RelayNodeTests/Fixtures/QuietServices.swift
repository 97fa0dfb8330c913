// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Pacing
import StreamRelay
import TransferBroker
import WSProtocol

@testable import RelayNode

// Parts whose surroundings do not matter to a test: limits are the usual ones, and nothing is logged.

extension Logger {
    static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension Admission {
    convenience init(
        descriptorLimit: Int, unauthenticatedPerAddress: Int? = AddressLimit.standard.unauthenticated,
        unauthenticatedPace: Pace.Limits = AddressLimit.standard.unauthenticatedPace
    ) {
        self.init(
            descriptorLimit: descriptorLimit, unauthenticatedPerAddress: unauthenticatedPerAddress,
            unauthenticatedPace: unauthenticatedPace, reports: LimitReports(logger: .quiet))
    }
}

extension BrokerService {
    convenience init(
        node: NodeID = .alone, cluster: any Cluster = NoCluster(), streams: (any StreamControl)? = nil,
        clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.init(
            node: node, cluster: cluster, limits: Defaults.Broker.limits, streams: streams,
            reports: LimitReports(logger: .quiet), logger: .quiet, clock: clock)
    }
}

extension LimitControl {
    /// What users may do as usual.
    static var usual: LimitControl { LimitControl { _ in } }
}

extension TrafficLedger {
    /// Counts, and keeps nothing.
    static func forgetful(_ limits: LimitControl = .usual) -> TrafficLedger {
        TrafficLedger(limits: limits, store: NoTrafficStore(), reports: LimitReports(logger: .quiet))
    }
}

extension ControlServices {
    init(broker: BrokerService, directory: any UserDirectory, registration: ServerMessage.Registration) {
        let limits = LimitControl.usual
        self.init(
            broker: broker, directory: directory, registration: registration,
            agent: Label(clipping: "relay-server/test"), logger: .quiet, budgets: MessageBudgets(),
            unread: UnreadBytes(), newNames: NewNames(), limits: limits, traffic: .forgetful(limits),
            reports: LimitReports(logger: .quiet))
    }
}
