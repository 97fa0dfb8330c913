// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Sealing
import WSProtocol

/// What a profile knows about who is behind a name.
struct Pin: Hashable, Sendable {
    /// Who it is.
    enum Identity: Hashable, Sendable {
        /// Someone there was contact with.
        case key(SigningKey)
        /// Someone whose fingerprint came another way, before any contact.
        case fingerprint(Fingerprint)
    }

    var identity: Identity
    /// Whether two people have compared the fingerprint.
    var isVerified: Bool
    /// When it became known, in milliseconds since 1970.
    let since: UInt64

    /// The identity; nil before the first contact.
    var key: SigningKey? { if case .key(let key) = identity { key } else { nil } }

    var fingerprint: Fingerprint {
        switch identity {
        case .key(let key): Fingerprint(of: key)
        case .fingerprint(let fingerprint): fingerprint
        }
    }

    /// Whether `shown` is that identity.
    func isOf(_ shown: SigningKey) -> Bool {
        switch identity {
        case .key(let key): key == shown
        case .fingerprint(let fingerprint): fingerprint == Fingerprint(of: shown)
        }
    }
}

/// What the identity that the relay shows for a name is to this profile.
enum Contact: Hashable, Sendable {
    /// Nothing is known of the name.
    case first
    /// It is the one that is pinned, or whose fingerprint came before.
    case known(isVerified: Bool)
    /// Another one is pinned.
    case changed(pinned: Fingerprint, shown: Fingerprint)

    /// Throws where the identity is another one than the pinned one.
    func check() throws(SealingError) {
        if case .changed(let pinned, let shown) = self { throw .identityChanged(pinned: pinned, shown: shown) }
    }
}

/// A name, and who is behind it.
struct KnownPeer: Hashable, Sendable {
    let name: PeerName
    let pin: Pin
}

/// All names that a profile knows, and their text: one JSON object a line.
struct KnownPeers: Hashable, Sendable {
    private var pins: [PeerName: Pin] = [:]

    init() {}

    var count: Int { pins.count }

    /// In the order of the names.
    var all: [KnownPeer] {
        pins.map { KnownPeer(name: $0.key, pin: $0.value) }.sorted { $0.name.rawValue < $1.name.rawValue }
    }

    /// Who is behind a name. Setting nil forgets it.
    subscript(name: PeerName) -> Pin? {
        get { pins[name] }
        set { pins[name] = newValue }
    }

    /// What `party`, as the relay shows it, is to this profile.
    func contact(with party: Party) -> Contact {
        guard let pin = pins[party.name] else { return .first }
        guard pin.isOf(party.identity) else {
            return .changed(pinned: pin.fingerprint, shown: Fingerprint(of: party.identity))
        }
        return .known(isVerified: pin.isVerified)
    }

    /// Keeps in mind who it is, unless that is another one than the pinned one. Returns what it was before.
    mutating func met(_ party: Party, now: UInt64) -> Contact {
        let contact = contact(with: party)
        switch contact {
        case .first: pins[party.name] = Pin(identity: .key(party.identity), isVerified: false, since: now)
        case .known: pins[party.name]?.identity = .key(party.identity)
        case .changed: break
        }
        return contact
    }

    // MARK: - As text

    /// What is wrong with a text.
    struct Damage: Error, Hashable {
        /// Counted from 1.
        let line: Int
    }

    private struct Line: Codable {
        var name: PeerName
        var key: SigningKey?
        var fingerprint: String?
        var verified: Bool
        var since: UInt64
    }

    /// Reads what ``encoded`` gave.
    init(_ content: Data) throws(Damage) {
        var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty ?? true else { throw Damage(line: lines.count + 1) }
        for (index, bytes) in lines.enumerated() {
            guard let line = StrictJSON.decode(Line.self, from: bytes), let pin = Self.pin(line),
                pins.updateValue(pin, forKey: line.name) == nil
            else { throw Damage(line: index + 1) }
        }
    }

    var encoded: Data {
        var text = ""
        for peer in all {
            var line = Line(name: peer.name, verified: peer.pin.isVerified, since: peer.pin.since)
            switch peer.pin.identity {
            case .key(let key): line.key = key
            case .fingerprint(let fingerprint): line.fingerprint = fingerprint.description
            }
            guard let json = try? StrictJSON.encode(line) else { continue }
            text += json + "\n"
        }
        return Data(text.utf8)
    }

    private static func pin(_ line: Line) -> Pin? {
        let identity: Pin.Identity
        switch (line.key, line.fingerprint) {
        case (let key?, nil): identity = .key(key)
        case (nil, let text?):
            guard let fingerprint = Fingerprint(text: text) else { return nil }
            identity = .fingerprint(fingerprint)
        case (nil, nil), (.some, .some): return nil
        }
        return Pin(identity: identity, isVerified: line.verified, since: line.since)
    }
}
