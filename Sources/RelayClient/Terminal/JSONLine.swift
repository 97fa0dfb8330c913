// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// An object as one line of JSON, which no terminal can be harmed by.
enum JSONLine {
    /// `object`, with sorted keys and without a line feed; nil when it cannot be encoded.
    static func text(of object: some Encodable) -> String? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(object) else { return nil }
        return visible(String(decoding: data, as: UTF8.self))
    }

    /// `json` with everything that could do something to a terminal written as an escape, which means the same in JSON
    /// (RFC 8259, section 7).
    private static func visible(_ json: String) -> String {
        guard json.unicodeScalars.contains(where: DisplayName.isDangerous) else { return json }
        var text = ""
        for scalar in json.unicodeScalars {
            guard DisplayName.isDangerous(scalar) else {
                text.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return text
    }
}
