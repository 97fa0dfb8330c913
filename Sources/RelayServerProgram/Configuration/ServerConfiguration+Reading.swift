// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Logging
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

extension ServerConfiguration {
    /// Checks every setting.
    /// - Throws: ``OperatorError`` for the first wrong one, naming the flag, the variable or the line of the file.
    init(_ settings: SettingReader) throws(OperatorError) {
        self.init(
            certificate: try Self.certificate(settings), stateDirectory: try settings.stateDirectory()
        )
        if let found = try settings.texts(.listen) {
            var addresses: [ListenAddress] = []
            for text in found.value { addresses.append(try Self.address(text, .listen, found.origin)) }
            guard !addresses.isEmpty else {
                throw OperatorError(found.origin.status, "\(found.origin.name(of: .listen)) is empty: give HOST:PORT")
            }
            listen = addresses
        }
        if let found = try settings.text(.httpListen) {
            httpListen = try Self.address(found.value, .httpListen, found.origin)
        }
        if let found = try settings.text(.metricsListen) {
            metricsListen =
                found.value == "off" ? .off : .chosen(try Self.address(found.value, .metricsListen, found.origin))
        }
        proxyProtocol = try Self.ranges(.proxyProtocol, settings)
        trustedProxy = try Self.ranges(.trustedProxy, settings)
        if let value = try Self.choice(.registration, settings, ServerMessage.Registration.allCases) {
            registration = value
        }
        cluster = try ClusterConfiguration(settings)
        if let found = try settings.text(.publicURL) { publicURL = try Self.url(found) }
        if let found = try settings.text(.addressLimit) {
            guard let limit = AddressLimit(found.value) else {
                throw OperatorError(
                    found.origin.status,
                    "\(found.origin.name(of: .addressLimit)): \"\(found.value)\" is not a number from 1 to 1000, or off"
                )
            }
            addressLimit = limit
        }
        if let found = try settings.text(.memoryLimit) {
            do {
                memoryLimit = try MemoryLimit(found.value)
            } catch {
                throw OperatorError(
                    found.origin.status,
                    "\(found.origin.name(of: .memoryLimit)): \"\(found.value)\" is neither a size nor off: \(error)"
                )
            }
        }
        if let value = try Self.choice(.logLevel, settings, Logger.Level.allCases) { log.level = value }
        if let value = try Self.choice(.logFormat, settings, LogFormat.allCases) { log.format = value }
        log.file = try Self.path(.logFile, settings)
        pidFile = try Self.path(.pidFile, settings)
    }

    private static func certificate(_ settings: SettingReader) throws(OperatorError) -> CertificateFiles {
        let advice = "`certs/make NAME` makes both, then --tls-cert certs/out/server.pem --tls-key certs/out/server.key"
        switch (try path(.tlsCert, settings), try path(.tlsKey, settings)) {
        case (let chain?, let key?): return CertificateFiles(chain: chain, key: key)
        case (nil, nil): throw OperatorError(.configuration, "there is no certificate to serve TLS with: \(advice)")
        case (.some, nil): throw OperatorError(.configuration, "--tls-cert has no --tls-key: \(advice)")
        case (nil, .some): throw OperatorError(.configuration, "--tls-key has no --tls-cert: \(advice)")
        }
    }

    static func address(
        _ text: String, _ setting: Setting, _ origin: SettingOrigin
    ) throws(OperatorError) -> ListenAddress {
        guard let address = ListenAddress(text) else {
            throw OperatorError(
                origin.status,
                "\(origin.name(of: setting)): \"\(text)\" is not HOST:PORT, such as 0.0.0.0:8443 or [::1]:0"
            )
        }
        return address
    }

    /// Ranges of addresses; each text may hold several, separated by commas.
    private static func ranges(
        _ setting: Setting, _ settings: SettingReader
    ) throws(OperatorError) -> [AddressRange] {
        guard let found = try settings.texts(setting) else { return [] }
        var ranges: [AddressRange] = []
        for text in found.value.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            guard let range = AddressRange(String(text.drop { $0 == " " })) else {
                throw OperatorError(
                    found.origin.status,
                    "\(found.origin.name(of: setting)): \"\(text)\" is not an address or a range, such as 10.0.0.0/8"
                )
            }
            ranges.append(range)
        }
        return ranges
    }

    static func path(_ setting: Setting, _ settings: SettingReader) throws(OperatorError) -> String? {
        guard let found = try settings.text(setting) else { return nil }
        guard !found.value.isEmpty, !found.value.utf8.contains(0) else {
            throw OperatorError(found.origin.status, "\(found.origin.name(of: setting)) is not the path of a file")
        }
        return found.value
    }

    private static func choice<Value: RawRepresentable>(
        _ setting: Setting, _ settings: SettingReader, _ all: [Value]
    ) throws(OperatorError) -> Value? where Value.RawValue == String {
        guard let found = try settings.text(setting) else { return nil }
        guard let value = Value(rawValue: found.value) else {
            let choices = all.map(\.rawValue).joined(separator: ", ")
            throw OperatorError(
                found.origin.status, "\(found.origin.name(of: setting)): \"\(found.value)\" is not one of \(choices)"
            )
        }
        return value
    }

    /// A URL that names a server and nothing on it.
    private static func url(_ found: SettingReader.Found<String>) throws(OperatorError) -> String {
        let mistake = OperatorError(
            found.origin.status,
            "\(found.origin.name(of: .publicURL)): \"\(found.value)\" is not https://HOST or https://HOST:PORT"
        )
        guard let parts = URLComponents(string: found.value), parts.scheme?.lowercased() == "https",
            let host = parts.host, !host.isEmpty, parts.user == nil, parts.password == nil, parts.query == nil,
            parts.fragment == nil, parts.path.isEmpty || parts.path == "/", (1...65535).contains(parts.port ?? 443),
            PublicURL(rawValue: found.value) != nil
        else { throw mistake }
        return parts.path == "/" ? String(found.value.dropLast()) : found.value
    }
}
