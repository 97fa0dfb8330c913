// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import ServerSystem
import StreamRelay
import TransferBroker

extension RelayResponder {
    /// Answers a request for what is no resource of the relay.
    func page(_ head: RequestHead, _ body: RequestBodyReader, _ reader: RequestReader) throws(HTTPError) {
        switch services.site?.content {
        case .welcome(let page)?:
            guard let answer = page().answer(to: head) else { throw Route.unknown }
            try Route.require(["GET", "HEAD"], head)
            reader.end(with: answer, after: body)
        case .folder(let folder)?:
            try Route.require(["GET", "HEAD"], head)
            find(head, body, reader) { SiteAnswer.find(head, in: folder) }
        case nil: throw Route.unknown
        }
    }

    /// Answers an ACME authority, if the request is one of its.
    func challenge(_ head: RequestHead, _ body: RequestBodyReader, _ reader: RequestReader) throws(HTTPError) -> Bool {
        guard case .redirect = purpose, let folder = services.challenges, ChallengePath.covers(head.path) else {
            return false
        }
        try Route.require(["GET", "HEAD"], head)
        find(head, body, reader) { SiteAnswer.challenge(head, in: folder) }
        return true
    }

    /// Lets a thread that may wait for the disk find the answer.
    private func find(
        _ head: RequestHead, _ body: RequestBodyReader, _ reader: RequestReader,
        _ find: @escaping @Sendable () -> SiteAnswer
    ) {
        guard let loop = reader.channel?.eventLoop else { return }
        NIOThreadPool.singleton.runIfActive(eventLoop: loop, find).assumeIsolated().whenComplete { result in
            guard reader.channel != nil else { return }
            switch result {
            case .success(.complete(let answer)): reader.end(with: answer, after: body)
            case .success(.refused(let refusal)):
                reader.end(with: refusal, after: body, withBody: head.method != "HEAD")
            case .success(.stream(let start, let file, let rest)):
                guard let place = services.site?.place() else { return reader.end(with: .full, after: body) }
                reader.replace(with: FileBodyHandler(start, then: rest, of: file, place: place))
            case .failure: reader.end(with: .full, after: body)
            }
        }
    }
}
