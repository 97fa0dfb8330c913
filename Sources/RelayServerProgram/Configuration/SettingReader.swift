// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import Configuration
import FoundationEssentials
import PrivateFiles
import ServerSystem
import TransferBroker
import WSProtocol

/// Finds the value of each setting. Precedence: flags, then the environment, then the file.
///
/// This is the only place that reads the environment and the configuration file.
struct SettingReader: Sendable {
    /// A value, and where it was found.
    struct Found<Value> {
        var value: Value
        var origin: SettingOrigin
    }

    private var sources: [(origin: SettingOrigin, snapshot: any ConfigSnapshot)]
    /// The two that the default of the state directory depends on.
    private var stateHome: String?
    private var home: String?

    /// - Parameters:
    ///   - flags: what stands on the command line; settings that do not are left out.
    ///   - file: the path behind `--config`; nil takes `RELAY_CONFIG`, or no file.
    ///   - environment: the process's environment.
    /// - Throws: ``OperatorError`` when the file cannot be read, is not JSON, or has unknown settings.
    init(
        flags: [Setting: [String]] = [:], file: String? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(OperatorError) {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (setting, texts) in flags {
            guard let first = texts.first else { continue }
            let content: ConfigContent = setting.isList ? .stringArray(texts) : .string(first)
            values[setting.key] = ConfigValue(content, isSecret: false)
        }
        sources = [(.flag, InMemoryProvider(name: "flags", values: values).snapshot())]

        // Only exactly these names, and not empty ones: `RELAY_LISTEN= relay-server` is how a shell unsets.
        let names = Set(Setting.allCases.map(\.variable))
        let ours = environment.filter { names.contains($0.key) && !$0.value.isEmpty }
        let provider = EnvironmentVariablesProvider(environmentVariables: ours).prefixKeys(with: "relay")
        sources.append((.environment, provider.snapshot()))
        stateHome = environment["XDG_STATE_HOME"]
        home = environment["HOME"]

        if let path = file ?? environment["RELAY_CONFIG"].flatMap({ $0.isEmpty ? nil : $0 }) {
            let path = Pasted.path(path)
            try Self.refuseHome(path, file == nil ? .configuration : .usage, file == nil ? "RELAY_CONFIG" : "--config")
            sources.append((.file(path), try Self.readFile(path)))
        }
    }

    /// Whether a configuration file was named.
    var hasFile: Bool {
        sources.contains { if case .file = $0.origin { true } else { false } }
    }

    /// The text of a setting with one value; nil when it is not set.
    func text(_ setting: Setting) throws(OperatorError) -> Found<String>? {
        guard let found = try find(setting, .string) else { return nil }
        guard case .string(let text) = found.value else { return nil }
        guard setting.isPath else { return Found(value: Pasted.trimmed(text), origin: found.origin) }
        let path = Pasted.path(text)
        try Self.refuseHome(path, found.origin.status, found.origin.name(of: setting))
        return Found(value: path, origin: found.origin)
    }

    /// The texts of a setting with several values; nil when it is not set.
    func texts(_ setting: Setting) throws(OperatorError) -> Found<[String]>? {
        guard let found = try find(setting, .stringArray) else { return nil }
        guard case .stringArray(let texts) = found.value else { return nil }
        return Found(value: texts.map(Pasted.trimmed), origin: found.origin)
    }

    /// Where the relay keeps its state: as set, or as the XDG base directory rules say.
    func stateDirectory() throws(OperatorError) -> String {
        if let found = try text(.stateDir) {
            guard !found.value.isEmpty, !found.value.utf8.contains(0) else {
                throw OperatorError(found.origin.status, "\(found.origin.name(of: .stateDir)) is empty")
            }
            return found.value
        }
        if let stateHome, stateHome.hasPrefix("/") { return StateDirectory.path(of: "relay-server", in: stateHome) }
        guard let home, home.hasPrefix("/") else {
            throw OperatorError(.configuration, "there is no HOME to keep the state in: set --state-dir")
        }
        return StateDirectory.path(of: ".local/state/relay-server", in: home)
    }

    private static func refuseHome(_ path: String, _ status: ExitStatus, _ name: String) throws(OperatorError) {
        if let mistake = UnexpandedHome.mistake(path, of: name) { throw OperatorError(status, mistake) }
    }

    private func find(_ setting: Setting, _ type: ConfigType) throws(OperatorError) -> Found<ConfigContent>? {
        for (origin, snapshot) in sources {
            do {
                if let value = try snapshot.value(forKey: setting.key, type: type).value {
                    return Found(value: value.content, origin: origin)
                }
            } catch {
                let form = setting.isList ? "a list of texts" : "a text"
                throw OperatorError(origin.status, "\(origin.name(of: setting)) has to be \(form)")
            }
        }
        return nil
    }

    private static func readFile(_ path: String) throws(OperatorError) -> JSONSnapshot {
        let contents: Data
        do {
            contents = try BoundedFile.read(path, limit: Defaults.Operations.maximumConfigurationSize)
        } catch {
            throw OperatorError(.configuration, "cannot read the configuration \(path): \(error)")
        }
        let json: StrictJSON
        do {
            json = try StrictJSON(contents)
        } catch {
            throw OperatorError(.configuration, "the configuration \(path) \(description(of: error))")
        }
        guard let names = json.decode([String: AnyJSON].self),
            let snapshot = try? JSONSnapshot(data: contents.bytes, providerName: path, parsingOptions: .default)
        else {
            throw OperatorError(
                .configuration, "the configuration \(path) is not a JSON object of texts and lists of texts")
        }
        let known = Set(Setting.allCases.map(\.rawValue))
        if let unknown = names.keys.filter({ !known.contains($0) }).min() {
            throw OperatorError(
                .configuration,
                "the configuration \(path) has an unknown setting \"\(unknown)\": see docs/configuration.md"
            )
        }
        return snapshot
    }

    private static func description(of fault: JSONGrammar.Fault) -> String {
        switch fault {
        case .malformed(let position):
            "is not a JSON object of texts and lists of texts: byte \(position + 1) is no JSON"
        case .duplicate(let key): "has \"\(key)\" twice: keep one of them"
        case .tooDeep: "is not a JSON object of texts and lists of texts"
        }
    }

    /// Any JSON value, not looked into.
    private struct AnyJSON: Decodable {
        init(from decoder: any Decoder) {}
    }
}

extension Setting {
    /// The key swift-configuration knows it by.
    fileprivate var key: AbsoluteConfigKey { AbsoluteConfigKey([rawValue]) }
}
