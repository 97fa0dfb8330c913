// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// A message is an object with one key, which says what it is: `{"left":{"session":7,"transfer":"…"}}`.
extension NodeMessage: Codable {
    package init(from decoder: any Decoder) throws {
        let reader = try ObjectReader(decoder, keys: Set(Kind.allCases.map(\.rawValue)))
        guard reader.keys.count == 1, let kind = reader.keys.first.flatMap(Kind.init(rawValue:)) else {
            throw reader.problem("not exactly one message")
        }
        let fields = try reader.object(kind.rawValue, keys: kind.fields)
        self = try Self.read(kind, fields)
    }

    private static func read(_ kind: Kind, _ fields: ObjectReader) throws -> NodeMessage {
        if let notice = try SessionNotice(kind, fields) {
            return .notice(session: try fields.get("session"), notice)
        }
        switch kind {
        // These are notices.
        case .ring, .start, .ok, .refuse, .failed, .note, .refused: throw fields.problem("no notice")
        case .release:
            return .release(session: try fields.get("session"), transfer: try fields.get("transfer"))
        case .request:
            let request = try fields.get("request", as: ClientMessage.self)
            guard request.transfer != nil else { throw fields.problem("a request that is not passed on") }
            return .request(session: try fields.get("session"), request)
        case .left:
            return .left(
                session: try fields.get("session"), transfer: try fields.get("transfer"),
                isStopping: try fields.find("stopping") ?? false)
        case .ask:
            return .ask(
                session: try fields.get("session"), try fields.get("pull"), from: try User(fields),
                to: try fields.get("to"), try fields.get("payload"))
        case .withdrawn:
            return .withdrawn(session: try fields.get("session"), try fields.get("pull"))
        case .claim:
            let digest: DigestField = try fields.get("digest")
            return .claim(id: try fields.get("id"), digest: TokenDigest(digest), role: try fields.get("role"))
        case .claimed:
            return .claimed(
                id: try fields.get("id"), transfer: try fields.find("transfer"), download: try fields.find("download"),
                users: try fields.find("users") ?? [])
        case .stream:
            let (event, url): (StreamEvent, PublicURL?) = (try StreamEvent(fields), try fields.find("url"))
            guard url == nil || event == .downloadParked else { throw fields.problem("an address without use") }
            return .stream(transfer: try fields.get("transfer"), event, url: url)
        case .abort:
            let code: FailureCode? = try fields.find("code")
            return .abort(transfer: try fields.get("transfer"), code.map { .failed($0) } ?? .delivered)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var outer = encoder.container(keyedBy: ObjectKey.self)
        var fields = outer.nestedContainer(keyedBy: ObjectKey.self, forKey: ObjectKey(stringValue: kind.rawValue))
        func put(_ key: String, _ value: some Encodable) throws {
            try fields.encode(value, forKey: ObjectKey(stringValue: key))
        }
        switch self {
        case .notice(let session, _), .release(let session, _), .request(let session, _), .left(let session, _, _),
            .ask(let session, _, _, _, _), .withdrawn(let session, _):
            try put("session", session)
        case .claim(let id, _, _), .claimed(let id, _, _, _): try put("id", id)
        case .stream(let transfer, _, _), .abort(let transfer, _): try put("transfer", transfer)
        }
        switch self {
        case .notice(_, let notice): for (key, value) in notice.fields { try put(key, value) }
        case .release(_, let transfer): try put("transfer", transfer)
        case .left(_, let transfer, let isStopping):
            try put("transfer", transfer)
            if isStopping { try put("stopping", true) }
        case .request(_, let request): try put("request", request)
        case .ask(_, let pull, let from, let to, let payload):
            try put("pull", pull)
            try put("from", UserField(from))
            try put("to", to)
            try put("payload", payload)
        case .withdrawn(_, let pull): try put("pull", pull)
        case .claim(_, let digest, let role):
            try put("digest", try DigestField(digest))
            try put("role", role)
        case .claimed(_, let transfer, let download, let users):
            if let transfer { try put("transfer", transfer) }
            if let download { try put("download", download) }
            if !users.isEmpty { try put("users", users) }
        case .stream(_, let event, let url):
            for (key, value) in event.fields { try put(key, value) }
            if let url { try put("url", url) }
        case .abort(_, .failed(let code)): try put("code", code)
        case .abort(_, .delivered): break
        }
    }
}

extension SessionNotice {
    /// Nil when `kind` is none of a notice.
    fileprivate init?(_ kind: NodeMessage.Kind, _ fields: ObjectReader) throws {
        switch kind {
        case .ring:
            self = .ring(
                try fields.get("transfer"), from: try User(fields), to: try fields.get("to"),
                try fields.get("payload"), answers: try fields.find("pull"))
        case .start:
            self = .start(
                try fields.get("request"), try fields.get("transfer"), try fields.get("token"),
                expires: try fields.get("expires"))
        case .ok: self = .ok(try fields.get("request"))
        case .refuse: self = .refuse(try fields.get("request"), try fields.get("code"))
        case .failed:
            self = .failed(try fields.get("transfer"), try fields.get("code"), by: try fields.get("by"))
        case .note: self = .note(try fields.get("transfer"), try fields.get("payload"))
        case .refused:
            self = .refused(try fields.get("pull"), by: try fields.get("by"), try fields.get("code"))
        case .release, .request, .left, .ask, .withdrawn, .claim, .claimed, .stream, .abort: return nil
        }
    }

    /// The keys and values, but for the session.
    fileprivate var fields: [(String, any Encodable)] {
        switch self {
        case .ring(let transfer, let from, let to, let payload, let answered):
            [("transfer", transfer), ("from", UserField(from)), ("to", to), ("payload", payload)]
                + (answered.map { [("pull", $0)] } ?? [])
        case .start(let request, let transfer, let token, let expires):
            [("request", request), ("transfer", transfer), ("token", token), ("expires", expires)]
        case .ok(let request): [("request", request)]
        case .refuse(let request, let code): [("request", request), ("code", code)]
        case .failed(let transfer, let code, let by): [("transfer", transfer), ("code", code), ("by", by)]
        case .note(let transfer, let payload): [("transfer", transfer), ("payload", payload)]
        case .refused(let pull, let name, let code): [("pull", pull), ("by", name), ("code", code)]
        }
    }
}

extension User {
    /// The sender, or the one who asks, without a prekey.
    fileprivate init(_ fields: ObjectReader) throws {
        let from = try fields.object("from", keys: ["name", "key"])
        self.init(name: try from.get("name"), key: try from.get("key"))
    }
}

extension NodeMessage.Kind {
    /// The keys that a message's object may hold.
    fileprivate var fields: Set<String> {
        switch self {
        case .ring: ["session", "transfer", "from", "to", "payload", "pull"]
        case .start: ["session", "request", "transfer", "token", "expires"]
        case .ok: ["session", "request"]
        case .refuse: ["session", "request", "code"]
        case .failed: ["session", "transfer", "code", "by"]
        case .note: ["session", "transfer", "payload"]
        case .release: ["session", "transfer"]
        case .left: ["session", "transfer", "stopping"]
        case .request: ["session", "request"]
        case .ask: ["session", "pull", "from", "to", "payload"]
        case .withdrawn: ["session", "pull"]
        case .refused: ["session", "pull", "by", "code"]
        case .claim: ["id", "digest", "role"]
        case .claimed: ["id", "transfer", "download", "users"]
        case .stream: ["transfer", "event", "bytes", "code", "url"]
        case .abort: ["transfer", "code"]
        }
    }
}

/// Of a user what a ring, or a request, says.
private struct UserField: Encodable {
    let name: PeerName
    let key: SigningKey

    init(_ user: User) { (name, key) = (user.name, user.key) }
}

/// A token's digest as a field: base64url.
private typealias DigestField = FixedBytes<DigestKind>

/// The length of a SHA-256.
private enum DigestKind: FixedBytesKind { static var length: Int { 32 } }

extension DigestField {
    fileprivate init(_ digest: TokenDigest) throws {
        guard let field = Self(bytes: digest.bytes) else {
            throw EncodingError.invalidValue(
                digest.bytes.count, .init(codingPath: [], debugDescription: "a digest of another length"))
        }
        self = field
    }
}

extension TokenDigest {
    fileprivate init(_ field: DigestField) { self.init(bytes: field.bytes) }
}

/// A stream's event as fields of a message: `event`, and `bytes` and `code` where there are any.
extension StreamEvent {
    /// The values of `event`.
    private enum Name: String, Codable {
        case parked, joined, finished, cut
    }

    init(_ fields: ObjectReader) throws {
        let bytes: UInt64? = try fields.find("bytes")
        let code: FailureCode? = try fields.find("code")
        switch (try fields.get("event", as: Name.self), bytes, code) {
        case (.parked, nil, nil): self = .downloadParked
        case (.joined, nil, nil): self = .joined
        case (.finished, let bytes?, nil): self = .finished(bytes: bytes)
        case (.cut, let bytes?, let code?): self = .cut(code, bytes: bytes)
        case (.parked, _, _), (.joined, _, _), (.finished, _, _), (.cut, _, _):
            throw fields.problem("an event with fields of another")
        }
    }

    /// The keys and values.
    var fields: [(String, any Encodable)] {
        switch self {
        case .downloadParked: [("event", Name.parked)]
        case .joined: [("event", Name.joined)]
        case .finished(let bytes): [("event", Name.finished), ("bytes", bytes)]
        case .cut(let code, let bytes): [("event", Name.cut), ("bytes", bytes), ("code", code)]
        }
    }
}
