// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// What is said on a link, in the exact form of `docs/cluster-protocol.md`.
@Suite struct LinkCodecTests {
    private static let transfer = TransferID(bytes: 0..<16)!
    private static let pull = PullRequestID(bytes: 16..<32)!
    private static let payload = Payload(bytes: Array("sealed".utf8))!
    private static let user = User(
        name: PeerName(rawValue: "alice")!, key: SigningKey(bytes: 32..<64)!)
    private static let (a, b) = (NodeID(rawValue: "n1")!, NodeID(rawValue: "n2")!)
    private static let (incA, incB) = (
        Incarnation(bytes: [UInt8](repeating: 0xA0, count: 16))!,
        Incarnation(bytes: [UInt8](repeating: 0xB0, count: 16))!
    )

    private static func id(_ number: UInt64) -> RequestID { .sequence(.client, number) }

    private static var digest: TokenDigest {
        get throws {
            let frame = try LinkCodec.decode(
                ByteBuffer(
                    string:
                        #"{"seq":1,"body":{"claim":{"id":1,"role":"upload","digest":"\#(Base64URL.encode(128..<160))"}}}"#
                ))
            guard case .message(_, .claim(_, let digest, _)) = frame else { throw LinkCodec.Malformed() }
            return digest
        }
    }

    private static func messages() throws -> [NodeMessage] {
        [
            .notice(session: 7, .ring(transfer, from: user, to: .test("bob"), payload)),
            .notice(session: 7, .start(id(5), transfer, Token(bytes: 96..<128)!, expires: 60)),
            .notice(session: 7, .ok(id(6))),
            .notice(session: 7, .refuse(id(6), .unknownTransfer)),
            .notice(session: 7, .failed(transfer, .senderGone, by: .relay)),
            .notice(session: 7, .note(transfer, payload)),
            .release(session: 7, transfer: transfer),
            .request(session: 7, .accept(.init(id: id(5), transfer: transfer, payload: payload))),
            .request(session: 7, .decline(.init(id: id(5), transfer: transfer, code: .declined))),
            .request(session: 7, .cancel(.init(id: id(6), transfer: transfer, code: .noSpace))),
            .request(session: 7, .progress(.init(id: id(7), transfer: transfer, bytes: 4096))),
            .request(session: 7, .delivered(.init(id: id(8), transfer: transfer, payload: payload))),
            .request(session: 7, .note(.init(id: id(9), transfer: transfer, payload: payload))),
            .notice(session: 7, .ring(transfer, from: user, to: .test("bob"), payload, answers: pull)),
            .ask(session: 7, pull, from: user, to: .test("bob"), payload),
            .withdrawn(session: 7, pull),
            .notice(session: 7, .refused(pull, by: .test("bob"), .notShared)),
            .left(session: 7, transfer: transfer),
            .left(session: 7, transfer: transfer, isStopping: true),
            .claim(id: 9, digest: try digest, role: .upload),
            .claimed(id: 9, transfer: transfer, download: NodeID(rawValue: "n3")),
            .claimed(id: 9, transfer: nil, download: nil),
            .stream(transfer: transfer, .downloadParked),
            .stream(transfer: transfer, .downloadParked, url: PublicURL(rawValue: "https://n3.example.org")!),
            .stream(transfer: transfer, .joined),
            .stream(transfer: transfer, .finished(bytes: 4096)),
            .stream(transfer: transfer, .cut(.receiverGone, bytes: 1024)),
            .abort(transfer: transfer, .failed(.cancelled)),
            .abort(transfer: transfer, .delivered),
        ]
    }

    private static func frames() throws -> [LinkFrame] {
        let start: [LinkFrame] = [
            .hello(.init(node: a, incarnation: incA, to: b, toIncarnation: incB, association: 3)),
            .hello(.init(node: a, incarnation: incA, to: b, toIncarnation: nil, association: 1)),
            .welcome(.init(node: b, incarnation: incB, received: 0)),
            .welcome(.init(node: b, incarnation: incB, received: nil)),
        ]
        return start + (try messages()).enumerated().map { .message(seq: UInt64($0 + 1), $1) } + [.ack(29)]
    }

    /// The examples of the document, in its order.
    private static func examples() throws -> [String] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("docs/cluster-protocol.md"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.drop { $0 != "```json" }.dropFirst().prefix { $0 != "```" }.map(String.init)
    }

    private static func decode(_ text: String) -> LinkFrame? { try? LinkCodec.decode(ByteBuffer(string: text)) }

    @Test func theExamplesOfTheDocumentAreWhatIsEncoded() throws {
        let (frames, examples) = (try Self.frames(), try Self.examples())
        #expect(frames.count == examples.count)
        for (frame, example) in zip(frames, examples) {
            #expect(String(buffer: try LinkCodec.encode(frame)) == example)
            #expect(Self.decode(example) == frame)
        }
    }

    @Test func thereIsAnExampleOfEachMessage() throws {
        #expect(Set(try Self.messages().map(\.kind)) == Set(NodeMessage.Kind.allCases))
    }

    /// Nothing may be missing, be of another kind, or be there besides.
    @Test func everyFieldIsNeededAndNoOtherIsTaken() throws {
        for example in try Self.examples() {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(example.utf8)) as? [String: Any])
            for (changed, what) in Self.mutations(of: object) where !Self.isAllowed(what, in: example) {
                let text = String(decoding: try JSONSerialization.data(withJSONObject: changed), as: UTF8.self)
                #expect(Self.decode(text) == nil, "\(what) in \(text)")
            }
        }
    }

    private static func isAllowed(_ mutation: String, in example: String) -> Bool {
        // A claim may be denied, a transfer delivered; a node need not have an own address nor be about to stop; a
        // client's request is as strict as messages of clients are.
        (example.contains("claimed") && ["-transfer", "-download"].contains(mutation))
            || (example.contains("abort") && mutation == "-code")
            || (example.contains(#""request":{"#) && mutation == "+unknown")
            || (example.contains(#""ring":{"#) && mutation == "-pull")
            || ["-toIncarnation", "-received", "-url", "-stopping"].contains(mutation)
    }

    /// The object with each key left out, each value of another type, and one more key, at every depth.
    private static func mutations(of object: [String: Any]) -> [([String: Any], String)] {
        var all: [([String: Any], String)] = [(object.merging(["unknown": 1]) { $1 }, "+unknown")]
        for (key, value) in object {
            all.append((object.filter { $0.key != key }, "-" + key))
            all.append((object.merging([key: [1]]) { $1 }, "=" + key))
            guard let inner = value as? [String: Any] else { continue }
            all += mutations(of: inner).map { (object.merging([key: $0.0]) { $1 }, $0.1) }
        }
        return all
    }

    @Test(arguments: [
        "", "[]", "{}", "1", #"{"seq":1}"#, #"{"body":{"ok":{"session":1,"request":"a"}}}"#, #"{"ack":-1}"#,
        #"{"ack":1.5}"#,
        #"{"ack":18446744073709551616}"#, #"{"ack":1,"seq":2}"#, #"{"seq":1,"body":{}}"#,
        #"{"seq":1,"body":{"nonsense":{"session":1}}}"#,
        #"{"seq":1,"body":{"ok":{"session":1,"request":"a"},"left":{}}}"#,
        #"{"seq":1,"body":{"request":{"session":1,"request":{"type":"ping","id":"c1"}}}}"#,
        #"{"seq":1,"body":{"stream":{"transfer":"AAECAwQFBgcICQoLDA0ODw","event":"joined","bytes":1}}}"#,
        #"{"seq":1,"body":{"stream":{"transfer":"AAECAwQFBgcICQoLDA0ODw","event":"cut","bytes":1}}}"#,
        #"{"seq":1,"body":{"stream":{"transfer":"AAECAwQFBgcICQoLDA0ODw","event":"joined","url":"https://x"}}}"#,
        #"{"seq":1,"body":{"stream":{"transfer":"AAECAwQFBgcICQoLDA0ODw","event":"parked","url":"http://x"}}}"#,
        #"{"seq":1,"body":{"stream":{"transfer":"AAECAwQFBgcICQoLDA0ODw","event":"parked","url":"https://x y"}}}"#,
        #"{"seq":1,"body":{"claim":{"id":1,"role":"upload","digest":"AAEC"}}}"#,
        #"{"seq":1,"body":{"request":{"session":1,"request":{"type":"withdraw","id":"c1","request":"AAECAwQFBgcICQoLDA0ODw"}}}}"#,
        #"{"seq":1,"body":{"withdrawn":{"session":1,"pull":"AAEC"}}}"#,
    ])
    func anythingElseIsRefused(text: String) {
        #expect(Self.decode(text) == nil)
    }

    @Test func aTextThatIsTooLongOrNotUTF8IsRefused() throws {
        let padding = String(repeating: " ", count: MessageCodec.maximumLength)
        #expect(Self.decode(#"{"ack":1}"# + padding) == nil)
        #expect(Self.decode(#"{"ack":1}"# + padding.dropLast(9)) == .ack(1))
        #expect(
            (try? LinkCodec.decode(ByteBuffer(bytes: Array(#"{"ack":1}"#.utf16).flatMap { [UInt8($0), 0] }))) == nil)
    }

    /// What is taken stays what it is when it is said again.
    @Test func hostileFramesAreTakenWholeOrNotAtAll() throws {
        var taken = 0
        for input in HostileInputs(damaging: try Self.examples(), seed: 24, count: 8000) {
            guard let frame = try? LinkCodec.decode(ByteBuffer(bytes: input.bytes)) else { continue }
            taken += 1
            #expect(try LinkCodec.decode(LinkCodec.encode(frame)) == frame, "\(input)")
        }
        #expect(taken > 0, "the damage is so great that nothing is tested")
    }

    @Test func theLongestMessageFits() throws {
        let payload = Payload(bytes: [UInt8](repeating: 1, count: Payload.maximumLength))!
        let name = PeerName(rawValue: String(repeating: "a", count: 63))!
        let user = User(name: name, key: Self.user.key)
        let text = try LinkCodec.encode(
            .message(
                seq: .max,
                .notice(session: .max, .ring(Self.transfer, from: user, to: name, payload, answers: Self.pull))
            ))
        #expect(text.readableBytes < MessageCodec.maximumLength)
    }
}
