// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TransferClient
import WSProtocol
import WebSocketTransport

@testable import RelayClientProgram
@testable import RelayCluster
@testable import RelayNode
@testable import StreamRelay
@testable import TLSTransport

/// HTTP: heads and bodies of requests, and answers.
enum HTTPDecoders {
    static let head = FuzzedDecoder(
        "http-head", longest: 20_000, of: .lines,
        sources: [
            "StreamRelay/HTTP/FieldLine.swift", "StreamRelay/HTTP/RequestHead.swift",
            "StreamRelay/HTTP/RequestHeadParser.swift", "StreamRelay/HTTP/Route.swift",
            "StreamRelay/HTTP/WebSocketHandshake.swift", "RelayNode/Site/ByteRange.swift",
            "RelayNode/Site/SitePath.swift", "RelayNode/Listener/RedirectNames.swift",
            "RelayCluster/Link/LinkRoute.swift",
            "WebSocketTransport/WebSocketKey.swift", "WSProtocol/Fields/PercentEncoding.swift",
        ]
    ) { input in
        let read = try Pieces.same(input, "a head") { readHead($0) }
        if case .head(let head)? = read?.outcome { try consider(head) }
    }

    private struct ReadHead: Equatable {
        var outcome = RequestHeadParser.Outcome.needMore
        var rest: [UInt8] = []
        /// Whether it began at all.
        var isEmpty = true
    }

    private static func readHead(_ pieces: [ByteBuffer]) -> ReadHead {
        var parser = RequestHeadParser()
        var read = ReadHead()
        for var piece in pieces {
            if read.outcome == .needMore { read.outcome = parser.feed(&piece) }
            read.isEmpty = parser.isEmpty
            // What is left of a head that was refused is never looked at.
            if case .head = read.outcome { read.rest += piece.readableBytesView }
        }
        return read
    }

    private static func consider(_ head: RequestHead) throws {
        // The same head, written again, means the same.
        let target = head.query.map { "\(head.path)?\($0)" } ?? head.path
        var text = ByteBuffer(string: "\(head.method) \(target) HTTP/1.\(head.minorVersion)\r\n")
        for field in head.fields { text.writeString("\(field.name): \(field.value)\r\n") }
        text.writeString("\r\n")
        if text.readableBytes < 8_000 {
            let again = readHead([text])
            try hold(again.outcome == .head(head), "\(head) is \(again.outcome) when it is written again")
        }
        try hold(WebSocketKey(WebSocketKey().text) != nil, "a key that is none")
        for method in ["GET", "PUT"] { _ = try? Route.require([method], head) }
        _ = try? Route(head)
        _ = try? LinkRoute(head)
        let range = ByteRange(head.values(of: "range").first, size: 100)
        if case .part(let part) = range {
            try hold(!part.isEmpty && part.lowerBound >= 0 && part.upperBound <= 100, "a part \(part) of 100 bytes")
        }
        try files(head.path)
        _ = EntityTag.matches(head.values(of: "if-none-match"), "\"tag\"")
        for port in [443, 8_443] {
            let names = RedirectNames(
                names: [.dns("relay.example.com"), .dns("*.example.org"), .ip("::1")], port: port)
            _ = ListenerPurpose.relay.redirection(for: head)
            guard let answer = ListenerPurpose.redirect(names).redirection(for: head) else { continue }
            try hold(
                answer.fields.allSatisfy { !$0.value.utf8.contains { $0 < 0x20 } }, "a redirection of two lines")
        }
        try upgrade(head)
    }

    /// A path of a site means one file below its folder, and none that is hidden.
    private static func files(_ path: String) throws {
        if let file = SitePath.file(of: path) {
            let isPlain = file.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                !$0.isEmpty && !$0.hasPrefix(".") && $0.utf8.count <= 255
            }
            try hold(isPlain && !file.utf8.contains { $0 < 0x20 }, "the file \(file.debugDescription) of \(path)")
        }
        if let text = PercentEncoding.decodeUTF8(path[...]) {
            let bytes = PercentEncoding.decode(path[...])
            try hold(Array(text.utf8) == bytes, "\(path) is \(text.debugDescription), and \(bytes ?? [])")
        }
        if let file = ChallengePath.file(of: path) {
            try hold(ChallengePath.covers(path) && "/" + file == path && !file.contains(".."), "the file \(file)")
        }
    }

    /// What a server answers to an upgrade is what a client takes.
    private static func upgrade(_ head: RequestHead) throws {
        for subprotocol in [ProtocolDefaults.subprotocol, LinkRoute.subprotocol] {
            guard let handshake = try? WebSocketHandshake(head, subprotocol: subprotocol),
                let key = head.values(of: "sec-websocket-key").first.flatMap(WebSocketKey.init(_:))
            else { continue }
            var answer = ByteBuffer()
            handshake.writeAnswer(into: &answer)
            var reader = UpgradeAnswer(to: key, subprotocol: subprotocol)
            try hold(reader.feed(&answer) == .upgraded, "an answer that is not one: \(String(buffer: answer))")
        }
    }

    static let body = FuzzedDecoder(
        "http-body", longest: 12_000, of: .lines,
        sources: ["StreamRelay/HTTP/RequestBodyReader.swift", "StreamRelay/HTTP/BodyWriter.swift"]
    ) { input in
        for framing in [BodyFraming.chunked, .length(7), .length(.max), .none] {
            let read = try Pieces.same(input, "a body, \(framing)") { readBody(framing, $0) }
            let length = (read?.content.count ?? 0) + (read?.rest.count ?? 0)
            try hold(length <= input.count, "\(length) bytes out of \(input.count)")
        }
        // What is written is read, whatever it is.
        for length in [UInt64(input.count), nil] {
            var writer = BodyWriter(length: length)
            var pieces: [ByteBuffer] = []
            for piece in Pieces.ways(input)[2] {
                let (first, second) = writer.framed(piece)
                pieces += [first] + (second.map { [$0] } ?? [])
            }
            pieces.append(writer.end)
            let read = readBody(length.map { .length($0) } ?? .chunked, pieces)
            try hold(
                read.content == input && read.step == .end && read.rest.isEmpty, "a body that was written: \(read)")
            _ = BodyWriter.field(length: length)
        }
    }

    private struct ReadBody: Equatable {
        var content: [UInt8] = []
        var rest: [UInt8] = []
        var step = RequestBodyReader.Step.needMore
    }

    private static func readBody(_ framing: BodyFraming, _ pieces: [ByteBuffer]) -> ReadBody {
        var reader = RequestBodyReader(framing)
        var read = ReadBody()
        // A body of no bytes is over before anything comes.
        for var piece in pieces + [ByteBuffer()] {
            while read.step == .needMore {
                let step = reader.next(&piece)
                if case .content(let content) = step {
                    read.content += content.readableBytesView
                } else if step == .needMore {
                    break
                } else {
                    read.step = step
                }
            }
            read.rest += piece.readableBytesView
        }
        if (read.step == .end) != reader.isComplete { read.step = .malformed }
        if read.step == .malformed { read.rest = [] }
        return read
    }

    static let answers = FuzzedDecoder(
        "http-answer", longest: 12_000, of: .lines,
        sources: [
            "StreamRelay/HTTP/AnswerParser.swift", "StreamRelay/Transfer/NodeAnswerParser.swift",
            "RelayCluster/Link/UpgradeAnswer.swift",
            "RelayClientProgram/Connect/HTTPCoding.swift",
        ]
    ) { input in
        _ = try Pieces.same(input, "an answer of a node") { pieces in
            var parser = NodeAnswerParser()
            var answers: [NodeAnswerParser.Answer] = []
            for piece in pieces + [ByteBuffer()] where !answers.contains(where: { $0 != .proceed }) {
                var answer = parser.feed(piece)
                while let found = answer {
                    answers.append(found)
                    answer = found == .proceed ? parser.feed(ByteBuffer()) : nil
                }
            }
            return answers
        }
        _ = try Pieces.same(input, "an answer to an upgrade") { pieces in
            guard let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==") else { return UpgradeAnswer.Outcome.needMore }
            var answer = UpgradeAnswer(to: key, subprotocol: LinkRoute.subprotocol)
            var outcome = UpgradeAnswer.Outcome.needMore
            for var piece in pieces where outcome == .needMore { outcome = answer.feed(&piece) }
            return outcome
        }
        _ = HTTPCoding.headers(for: try RelayURL("https://relay.example.com").controlTarget)
        _ = try Pieces.same(input, "an answer of a proxy") { try proxyReads($0) }
        for forwards in [false, true] {
            _ = try Pieces.same(input, "an answer to the client") { try clientReads($0, forwards) }
        }
    }

    /// What a client makes of the answer of a proxy that it wants a tunnel of.
    private static func proxyReads(_ pieces: [ByteBuffer]) throws -> String {
        let channel = EmbeddedChannel()
        let promise = channel.eventLoop.makePromise(of: Void.self)
        var result = "nothing"
        promise.futureResult.assumeIsolated().whenFailure { error in
            result = (error as? ProxyAnswerHandler.Refusal).map { "\($0.status)" } ?? "over"
        }
        let pipeline = channel.pipeline.syncOperations
        try HTTPCoding.install(on: pipeline)
        try pipeline.addHandler(ProxyAnswerHandler(promise: promise))
        let head = HTTPRequestHead(version: .http1_1, method: .CONNECT, uri: "relay.example.com:443")
        try channel.writeOutbound(HTTPClientRequestPart.head(head))
        try channel.writeOutbound(HTTPClientRequestPart.end(nil))
        for piece in pieces { _ = try? channel.writeInbound(piece) }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        promise.fail(ChannelError.eof)
        channel.embeddedEventLoop.run()
        return result
    }

    /// What a client makes of an answer: its status and the beginning of its body.
    private static func clientReads(_ pieces: [ByteBuffer], _ forwards: Bool) throws -> String {
        let channel = EmbeddedChannel()
        let promise = channel.eventLoop.makePromise(of: HTTPResponse.self)
        let pipeline = channel.pipeline.syncOperations
        try HTTPCoding.install(on: pipeline, forwardsInformational: forwards)
        try pipeline.addHandler(HTTPResponseHandler(promise: promise))
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
        try channel.writeOutbound(HTTPClientRequestPart.head(head))
        try channel.writeOutbound(HTTPClientRequestPart.end(nil))
        for piece in pieces { _ = try? channel.writeInbound(piece) }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        var result = "nothing"
        promise.futureResult.assumeIsolated().whenComplete { outcome in
            switch outcome {
            case .success(let response):
                result = "\(response)"
            case .failure(let error): result = error is ChannelError ? "cut" : "refused"
            }
        }
        channel.embeddedEventLoop.run()
        return result
    }
}

/// The PROXY header.
enum ProxyHeaderDecoder {
    static let header = FuzzedDecoder(
        "proxy-header", longest: 700,
        sources: ["RelayNode/Listener/ProxyHeader.swift", "RelayNode/Listener/ProxyHeaderHandler.swift"]
    ) { input in
        // Once it is decided, more bytes change nothing.
        var decided: ProxyHeader.Reading?
        for count in 0...input.count {
            let reading = ProxyHeader.read(ByteBuffer(bytes: input.prefix(count)).readableBytesView)
            if let decided { try hold(reading == decided, "\(decided), and \(reading) with \(count) bytes") }
            if reading != .incomplete { decided = reading }
            if case .complete(_, let length) = reading {
                try hold(length <= count, "a header of \(length) in \(count) bytes")
            }
        }
        if case .complete(.client(let address), _)? = decided {
            try hold(address.ipAddress != nil && address.port != nil, "a client at \(address)")
        }
        try passes(input, decided)
    }

    /// A connection that begins so: what stands behind a good header is passed on, and all else closes it.
    private static func passes(_ input: [UInt8], _ decided: ProxyHeader.Reading?) throws {
        let passed = try Pieces.same(input, "what is behind a header") { pieces in
            let admission = Admission(
                descriptorLimit: 100, unauthenticatedPerAddress: 1,
                unauthenticatedPace: AddressLimit.standard.unauthenticatedPace,
                reports: LimitReports(logger: Logger.silent))
            let peers = TrustedPeers()
            let passed = try Self.passed(pieces, admission.connectionOpened(from: nil).1, peers)
            // Others come from an address that has one.
            for _ in 0..<2 {
                let lease = admission.connectionOpened(from: nil).1
                let other = try Self.passed(pieces, lease, peers)
                try hold(other == nil || lease.client == nil, "two of one address")
            }
            return passed
        }
        let rest: [UInt8]? =
            switch decided {
            case .complete(_, let length)?: Array(input.dropFirst(length))
            case .incomplete?, nil: []
            case .missing?, .malformed?: nil
            }
        try hold(passed == .some(rest), "\(String(describing: passed)) behind \(String(describing: decided))")
    }

    /// What is passed on of a connection; nil when it is closed.
    private static func passed(
        _ pieces: [ByteBuffer], _ lease: ConnectionLease, _ peers: TrustedPeers
    ) throws -> [UInt8]? {
        let channel = EmbeddedChannel(handler: ProxyHeaderHandler(lease: lease, peers: peers, logger: Logger.silent))
        channel.connect(to: try SocketAddress(ipAddress: "10.0.0.1", port: 1), promise: nil)
        for piece in pieces where channel.isActive { try channel.writeInbound(piece) }
        let isOpen = channel.isActive
        var passed: [UInt8] = []
        while let bytes = try channel.readInbound(as: ByteBuffer.self) { passed += bytes.readableBytesView }
        _ = try channel.finish(acceptAlreadyClosed: true)
        return isOpen ? passed : nil
    }
}

extension Logger {
    /// Writes nothing.
    static var silent: Logger { Logger(label: "fuzzed") { _ in SwiftLogNoOpLogHandler() } }
}
