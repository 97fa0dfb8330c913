// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay
import TransferBroker

/// Answers the one request of a connection of the metrics listener.
struct MetricsResponder: RequestResponder {
    let source: any MetricsSource

    /// The handler that reads the request and asks this; the time is for the request and for what is asked to answer
    /// it.
    func reader() -> RequestReader {
        RequestReader(self, patience: .init(Defaults.Metrics.exchangeTimeout, coversAnswer: true))
    }

    // Only operators come here, and they see the answer.
    func refused(_ refusal: HTTPError) {}
    func failed(_ error: any Error, _ reader: RequestReader) {}

    func respond(to head: RequestHead, _ reader: RequestReader) {
        let body = RequestBodyReader(head.framing)
        // A HEAD's answer has no body (RFC 9110, section 9.3.2).
        let withBody = head.method != "HEAD"
        do throws(HTTPError) {
            switch try MetricsRoute(head) {
            case .health:
                let answer = ResponseHead.complete(.ok, type: "text/plain", body: "ok\n", withBody: withBody)
                reader.end(with: answer, after: body)
            case .readiness:
                let readiness = source.readiness
                let answer = ResponseHead.complete(
                    readiness.status, type: "text/plain", body: readiness.rawValue + "\n", withBody: withBody
                )
                reader.end(with: answer, after: body)
            case .metrics: page(withBody, body, reader)
            }
        } catch {
            reader.end(with: error, after: body, withBody: withBody)
        }
    }

    private func page(_ withBody: Bool, _ body: RequestBodyReader, _ reader: RequestReader) {
        guard let loop = reader.channel?.eventLoop else { return }
        loop.makeFutureWithTask { [source] in
            let page = MetricsPage.render(await source.snapshot())
            return ResponseHead.complete(.ok, type: MetricsPage.type, body: page, withBody: withBody)
        }.assumeIsolated().whenSuccess { answer in
            // The client may have left, or the deadline may have passed, while the figures were asked for.
            if reader.channel != nil { reader.end(with: answer, after: body) }
        }
    }
}

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
