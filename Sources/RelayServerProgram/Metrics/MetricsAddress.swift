// SPDX-License-Identifier: Apache-2.0

import ServerSystem
import TransferBroker

/// Where `/metrics`, `/healthz` and `/readyz` are to be answered.
enum MetricsAddress: Hashable, Sendable {
    case off
    /// The default. Another relay of this machine may have taken the address, which must not keep this one from
    /// serving.
    case usual
    case chosen(ListenAddress)

    /// The address; nil when there is none.
    var address: ListenAddress? {
        switch self {
        case .off: nil
        case .usual: Defaults.Metrics.address
        case .chosen(let address): address
        }
    }
}
