// SPDX-License-Identifier: Apache-2.0

/// Any key of a JSON object.
struct ObjectKey: CodingKey, Hashable {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// Reads a JSON object that may hold the named keys only: nodes of one cluster speak one version, so that anything else
/// is a mistake, or a forgery.
struct ObjectReader {
    private let container: KeyedDecodingContainer<ObjectKey>

    /// Throws when there is a key besides `keys`.
    init(_ decoder: any Decoder, keys: Set<String>) throws {
        container = try decoder.container(keyedBy: ObjectKey.self)
        try check(keys)
    }

    private init(_ container: KeyedDecodingContainer<ObjectKey>, keys: Set<String>) throws {
        self.container = container
        try check(keys)
    }

    private func check(_ keys: Set<String>) throws {
        guard let other = container.allKeys.first(where: { !keys.contains($0.stringValue) }) else { return }
        throw DecodingError.dataCorruptedError(
            forKey: other, in: container, debugDescription: "a key that has no meaning here")
    }

    /// The value of a key that has to be there.
    func get<Value: Decodable>(_ key: String, as _: Value.Type = Value.self) throws -> Value {
        try container.decode(Value.self, forKey: ObjectKey(stringValue: key))
    }

    /// The value of a key that may be missing or null.
    func find<Value: Decodable>(_ key: String, as _: Value.Type = Value.self) throws -> Value? {
        try container.decodeIfPresent(Value.self, forKey: ObjectKey(stringValue: key))
    }

    /// The object inside, which may hold `keys` only.
    func object(_ key: String, keys: Set<String>) throws -> ObjectReader {
        try ObjectReader(
            try container.nestedContainer(keyedBy: ObjectKey.self, forKey: ObjectKey(stringValue: key)), keys: keys)
    }

    /// An error about the object as a whole.
    func problem(_ message: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: container.codingPath, debugDescription: message))
    }

    /// The keys that are there.
    var keys: [String] { container.allKeys.map(\.stringValue) }
}
