// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem
import TransferBroker
import WSProtocol

/// A configuration file as `setup` reads and writes it: settings it does not know the meaning of stay as they are.
struct ConfigurationFile: Hashable, Sendable {
    /// The value of one setting.
    enum Value: Hashable, Sendable, Codable {
        case text(String)
        case texts([String])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .text(text)
            } else {
                self = .texts(try container.decode([String].self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .texts(let texts): try container.encode(texts)
            }
        }
    }

    private(set) var values: [String: Value] = [:]

    subscript(_ setting: Setting) -> Value? {
        get { values[setting.rawValue] }
        set { values[setting.rawValue] = newValue }
    }

    /// Whether a relay could be started with it: the package's own has no certificate yet.
    var isSetUp: Bool { self[.tlsCert] != nil }

    init() {}

    /// Reads the file; an empty one when there is none.
    /// - Throws: ``OperatorError``.
    init(path: String) throws(OperatorError) {
        let contents: Data
        do {
            contents = try BoundedFile.read(path, limit: Defaults.Operations.maximumConfigurationSize)
        } catch {
            guard error.code == ENOENT else {
                throw OperatorError(.configuration, "cannot read the configuration \(path): \(error)")
            }
            return
        }
        guard let values = StrictJSON.decode([String: Value].self, from: contents) else {
            throw OperatorError(
                .configuration,
                "the configuration \(path) is not a JSON object of texts and lists of texts: repair it, or move it away"
            )
        }
        self.values = values
    }

    /// The text of the file, a setting a line in the order in which the manual has them.
    var text: String {
        let order = Setting.allCases.map(\.rawValue)
        let names = values.keys.sorted { left, right in
            (order.firstIndex(of: left) ?? order.count, left) < (order.firstIndex(of: right) ?? order.count, right)
        }
        let lines = names.compactMap { name in
            values[name].flatMap { value in
                (try? (StrictJSON.encode(name), StrictJSON.encode(value))).map { "    \($0): \($1)" }
            }
        }
        return "{\n\(lines.joined(separator: ",\n"))\n}\n"
    }
}
