// SPDX-License-Identifier: Apache-2.0

import WSProtocol

extension Broker {
    /// What there is at the moment. Looks at every transfer: for the operator's requests, not for events.
    package var status: BrokerStatus {
        var status = BrokerStatus()
        status.sessions = sessions.count
        status.names = names.values.count { !$0.sessions.isEmpty }
        status.receiving = tally.receiving
        status.unclaimedTokens = ledger.count
        status.delivered = tally.delivered
        status.failed = tally.failed
        status.bytesRelayed = tally.bytesRelayed
        status.progressDropped = tally.progressDropped
        status.isDraining = isDraining
        for transfer in transfers.values {
            switch transfer.state {
            case .waiting: status.waiting += 1
            case .ringing: status.ringing += 1
            case .accepted: status.accepted += 1
            case .parked: status.parked += 1
            case .streaming, .broken, .confirmed: status.streaming += 1
            case .streamed: status.streamed += 1
            case .ended: break
            }
        }
        return status
    }
}
