// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Logging
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// Everything a running relay is told from outside, checked once: a plain value that can be compared and replaced.
struct ServerConfiguration: Hashable, Sendable {
    /// Where TLS connections are accepted; at least one.
    var listen = [ListenAddress(host: "0.0.0.0", port: 8443)]
    var certificate: CertificateFiles
    /// The directory with the users' registry and the admin socket.
    var stateDirectory: String
    /// Who may register a new name.
    var registration = ServerMessage.Registration.invite
    /// What makes this relay a node of a cluster; nil when it is the only one.
    var cluster: ClusterConfiguration?
    /// This node's own address, `https://HOST[:PORT]` without anything behind it; nil when clients are to use the
    /// address they already have.
    var publicURL: String?
    /// Where plain HTTP is answered with a redirection; nil means nowhere.
    var httpListen: ListenAddress?
    /// Where answers to ACME's challenges lie; nil means nowhere.
    var acmeDirectory: ServedFolder?
    /// The operator's own files for browsers; nil means the built-in page.
    var site: ServedFolder?
    /// Where metrics and health are served over plain HTTP.
    var metricsListen = MetricsAddress.usual
    /// Balancers whose connections begin with a PROXY header; all others are taken for what they are.
    var proxyProtocol: [AddressRange] = []
    /// Balancers that end TLS, whose X-Forwarded-For is believed.
    var trustedProxy: [AddressRange] = []
    var addressLimit = AddressLimit.standard
    /// The limits of each user that are not as usual.
    var limits: LimitSet = [:]
    var memoryLimit = MemoryLimit.ofGroup
    var log = LogConfiguration()
    /// The file that gets the process id once the relay serves.
    var pidFile: String?

    /// - Throws: ``OperatorError`` for a folder of files for everyone that cannot be opened.
    func checkFolders() throws(OperatorError) {
        try acmeDirectory?.check("--acme-dir")
        try site?.check("--site")
    }

    /// Files with secrets that every user of the machine may read, although only the relay has to. Files that cannot be
    /// looked at are left to the code that reads them.
    var exposedFiles: [String] {
        [certificate.key, cluster?.certificate.key, cluster?.passwordFile].compactMap(\.self).filter { path in
            var status = stat()
            return unsafe stat(path, &status) == 0 && status.st_mode & 0o007 != 0
        }
    }

    /// The host that clients are told to connect to, as far as the configuration says: the public URL's.
    var publicHost: String? { publicURL.flatMap { URLComponents(string: $0)?.host?.lowercased() } }

    /// The port that people reach the relay on, as far as the configuration says: the public URL's.
    var publicPort: Int? {
        guard let publicURL, let parts = URLComponents(string: publicURL) else { return nil }
        return parts.port ?? 443
    }
}

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
        acmeDirectory = try Self.path(.acmeDir, settings).map { ServedFolder(path: $0) }
        guard acmeDirectory == nil || httpListen != nil else {
            throw OperatorError(.configuration, "--acme-dir is for plain HTTP, and there is no --http-listen")
        }
        site = try Self.path(.site, settings).map { ServedFolder(path: $0) }
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
        limits = try Self.limits(settings)
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
        if let value = try Self.choice(.logAddresses, settings, LogAddresses.allCases) { log.addresses = value }
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

    private static func limits(_ settings: SettingReader) throws(OperatorError) -> LimitSet {
        guard let found = try settings.texts(.limit) else { return [:] }
        var limits: LimitSet = [:]
        for text in found.value {
            do {
                let limit = try LimitText(text, takesDefault: false)
                limits[limit.name] = limit.value
            } catch {
                throw OperatorError(found.origin.status, "\(found.origin.name(of: .limit)): \(error)")
            }
        }
        return limits
    }

    /// The limits as ``LimitControl`` takes them, at start and whenever they are read again.
    var limitSettings: LimitSettings { LimitSettings(user: limits, address: addressLimit) }

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
