// SPDX-License-Identifier: Apache-2.0

/// A limit that operators can set, by the name that they know it by.
package enum LimitName: String, Hashable, Sendable, CaseIterable {
    /// Control connections at once.
    case connections
    /// Offers that no receiver has accepted yet.
    case offers
    /// Transfers that are not over: so many that the user has offered, and as many that it has accepted.
    case transfers
    /// Messages a second.
    case messages
    /// Bytes a second, of all its transfers together.
    case rate
    /// Bytes a day.
    case day

    /// Whether it is a number of bytes.
    package var isBytes: Bool { self == .rate || self == .day }

    /// What it may be set to, besides nothing at all.
    package var range: ClosedRange<Int64> {
        switch self {
        case .connections, .offers, .transfers, .messages: 1...Defaults.Limits.mostOfAnything
        case .rate: Defaults.Limits.leastRate...Defaults.Limits.mostBytes
        case .day: 1...Defaults.Limits.mostBytes
        }
    }
}

/// Values of some of the limits; 0 stands for no limit.
package struct LimitSet: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    private var values: [LimitName: Int64] = [:]

    package init(dictionaryLiteral elements: (LimitName, Int64)...) {
        for (name, value) in elements { values[name] = value }
    }

    package var isEmpty: Bool { values.isEmpty }

    /// The value of a limit; nil when this set does not say.
    package subscript(name: LimitName) -> Int64? {
        get { values[name] }
        set { values[name] = newValue }
    }

    /// These values, and those of `others` where this set does not say.
    package func over(_ others: LimitSet) -> LimitSet {
        var merged = others
        merged.values.merge(values) { $1 }
        return merged
    }

    /// The same limits for so many users together.
    package func times(_ count: Int) -> LimitSet {
        var many = self
        for (name, value) in values {
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: Int64(count))
            many.values[name] = isTooLarge ? .max : product
        }
        return many
    }

    /// All that the set says, in the order of ``LimitName``.
    package var all: [(name: LimitName, value: Int64)] {
        LimitName.allCases.compactMap { name in values[name].map { (name, $0) } }
    }
}

extension LimitSet: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        for (name, value) in try container.decode([String: Int64].self) {
            guard let name = LimitName(rawValue: name), value == 0 || name.range.contains(value) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "no limit of that value")
            }
            values[name] = value
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) }))
    }
}

extension Holding {
    /// What a user may hold by `limits`; what they do not say is as in `usual`.
    package init(_ limits: LimitSet, usual: Holding = Defaults.Broker.user) {
        func figure(_ name: LimitName, _ usual: Int) -> Int {
            limits[name].map { $0 == 0 ? .max : Int(clamping: $0) } ?? usual
        }
        self = usual
        sessions = figure(.connections, usual.sessions)
        pending = figure(.offers, usual.pending)
        offers = figure(.transfers, usual.offers)
        accepts = figure(.transfers, usual.accepts)
    }
}
