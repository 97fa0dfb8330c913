// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// JSON from outside, read so that no other reader can see something else in it. Foundation's decoder takes a byte order mark,
/// UTF-16, commas at the end, `007`, `\q`, a key twice; whatever stands between two programs and reads the same text may see
/// something else in it. So each text is checked against ``JSONGrammar`` first. The only place that makes a decoder.
package struct StrictJSON: Sendable {
    private let text: Data

    /// Throws what is wrong with `bytes`, if they are not exactly one JSON value.
    package init(_ bytes: some Sequence<UInt8>) throws(JSONGrammar.Fault) {
        let bytes = Array(bytes)
        var grammar = JSONGrammar(bytes)
        try grammar.text()
        text = Data(bytes)
    }

    /// The value; nil when it is not of the form of a `Value`.
    package func decode<Value: Decodable>(_: Value.Type = Value.self) -> Value? {
        try? JSONDecoder().decode(Value.self, from: text)
    }

    /// Reads `bytes`; nil when they are not JSON, or not of the form of a `Value`.
    package static func decode<Value: Decodable>(_: Value.Type, from bytes: some Sequence<UInt8>) -> Value? {
        (try? StrictJSON(bytes))?.decode()
    }
}
