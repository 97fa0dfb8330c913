// SPDX-License-Identifier: Apache-2.0

import StreamRelay

/// What a request to the metrics listener asks for.
enum MetricsRoute: Hashable, Sendable {
    case metrics, health, readiness

    /// Finds the route of `head`, or says why there is none.
    init(_ head: RequestHead) throws(HTTPError) {
        switch head.path {
        case "/metrics": self = .metrics
        case "/healthz": self = .health
        case "/readyz": self = .readiness
        default:
            throw HTTPError(
                status: .notFound, code: "not_found",
                message: "there is nothing here: the resources are /metrics, /healthz and /readyz"
            )
        }
        try Route.require(["GET", "HEAD"], head)
    }
}
