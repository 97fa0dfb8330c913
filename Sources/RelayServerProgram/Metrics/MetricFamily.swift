// SPDX-License-Identifier: Apache-2.0

import TransferBroker

/// One metric with all of its samples, in the Prometheus text format, version 0.0.4.
struct MetricFamily: Hashable, Sendable {
    /// Whether figures only grow until the process ends.
    enum Kind: String, Hashable, Sendable {
        case counter, gauge, histogram
    }

    /// One figure.
    struct Sample: Hashable, Sendable {
        /// What is behind the family's name, of a histogram's samples.
        var suffix = ""
        /// What tells it from the other samples; none when it is the only one.
        var labels: [Label] = []
        /// A decimal number.
        var value: String
    }

    /// A label; only its value may be any text.
    struct Label: Hashable, Sendable {
        var name: String
        var value: String
    }

    /// `[a-z_]+`; a counter's ends in `_total`.
    let name: String
    let help: String
    let kind: Kind
    let samples: [Sample]

    /// A metric with one figure.
    init(_ kind: Kind, _ name: String, _ value: some BinaryInteger, _ help: String) {
        self.init(name: name, help: help, kind: kind, samples: [Sample(value: String(value))])
    }

    /// A metric with one figure in seconds, given in thousandths of them.
    init(_ kind: Kind, _ name: String, milliseconds: UInt64, _ help: String) {
        let thousandths = String(1000 + milliseconds % 1000).dropFirst()
        let sample = Sample(value: "\(milliseconds / 1000).\(thousandths)")
        self.init(name: name, help: help, kind: kind, samples: [sample])
    }

    /// A metric with a figure for each value of `label`.
    init(
        _ kind: Kind, _ name: String, by label: String, _ figures: KeyValuePairs<String, some BinaryInteger>,
        _ help: String
    ) {
        self.init(kind, name, by: label, figures.map { (key: $0.key, value: $0.value) }, help)
    }

    /// A metric with a figure for each value of `label`, for figures that are listed elsewhere.
    init(
        _ kind: Kind, _ name: String, by label: String, _ figures: [(key: String, value: some BinaryInteger)],
        _ help: String
    ) {
        let samples = figures.map { Sample(labels: [Label(name: label, value: $0.key)], value: String($0.value)) }
        self.init(name: name, help: help, kind: kind, samples: samples)
    }

    /// A histogram of times, in seconds.
    init(_ name: String, _ histogram: Histogram, _ help: String) {
        var samples: [Sample] = []
        var count: UInt64 = 0
        let ends = histogram.scale.milliseconds.map { Self.seconds(nanoseconds: $0 &* 1_000_000) } + ["+Inf"]
        for (end, inRange) in zip(ends, histogram.counts) {
            count &+= inRange
            samples.append(
                Sample(suffix: "_bucket", labels: [Label(name: "le", value: end)], value: String(count)))
        }
        samples.append(Sample(suffix: "_sum", value: Self.seconds(nanoseconds: histogram.sum)))
        samples.append(Sample(suffix: "_count", value: String(count)))
        self.init(name: name, help: help, kind: .histogram, samples: samples)
    }

    /// A decimal number without zeros at its end.
    private static func seconds(nanoseconds: UInt64) -> String {
        let fraction = String(1_000_000_000 + nanoseconds % 1_000_000_000).dropFirst()
        let digits = fraction.reversed().drop { $0 == "0" }.reversed()
        return "\(nanoseconds / 1_000_000_000)" + (digits.isEmpty ? "" : "." + String(digits))
    }

    init(name: String, help: String, kind: Kind, samples: [Sample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }

    /// The lines of the page, each with its line feed.
    var text: String {
        var text = "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0.name)=\"\(Self.escape($0.value, quotes: true))\"" }
            let braced = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
            text += "\(name)\(sample.suffix)\(braced) \(sample.value)\n"
        }
        return text
    }

    /// The format's three escapes; a quotation mark has a meaning only in a label's value.
    private static func escape(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        // By scalars: a carriage return and a line feed are one character.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
