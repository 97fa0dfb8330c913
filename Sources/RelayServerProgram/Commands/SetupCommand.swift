// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// `relay-server setup`
struct SetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup",
        abstract: "Set up an installed relay: certificate, configuration, service, first invitation.",
        discussion: """
            Examples:
              relay-server setup --public-name relay.example.com
              relay-server setup --public-name relay.example.com --certbot --http-listen 0.0.0.0:80

            Without --public-name, the command asks for the name and the settings that depend on it. It makes only \
            what is missing, so that it can be run again. With --force it writes the configuration and the certificate \
            anew; an authority, once made, always stays. Without --certbot or --tls-cert it makes an authority of the \
            relay's own, and a certificate.
            """
    )

    @Option(
        help: ArgumentHelp("Name or address that people reach the relay by (asked for if missing).", valueName: "name"))
    var publicName: String?

    @Option(
        help: ArgumentHelp("Address for TLS connections; repeatable (default: 0.0.0.0:443).", valueName: "host:port"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("Address for plain HTTP: redirections, and ACME's challenges.", valueName: "host:port"))
    var httpListen: String?

    @Option(help: ArgumentHelp("Folder that an ACME client writes its challenges into.", valueName: "dir"))
    var acmeDir: String?

    @Option(help: ArgumentHelp("Certificate chain to copy, PEM.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("Private key to copy, PEM.", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Copy certificate and key from /etc/letsencrypt/live/NAME.")
    var certbot = false

    @Option(help: ArgumentHelp("Configuration to write; the certificate goes beside it.", valueName: "file"))
    var config = Defaults.Operations.configuration

    @Option(
        help: ArgumentHelp(
            "State directory (default: what the configuration says, or /var/lib/relay).", valueName: "dir"))
    var stateDir: String?

    @Option(help: ArgumentHelp("User that the relay runs as.", valueName: "name"))
    var user = "relay"

    @Option(
        help: ArgumentHelp("The only name that the invitation is good for.", valueName: "name"),
        transform: { try PeerName.argument($0) }
    )
    var invite: PeerName?

    @Flag(help: "Write configuration and certificate anew.")
    var force = false

    @Flag(help: "Only copy the certificate again, and have the running relay take it: for an ACME client's hook.")
    var renew = false

    @Flag(help: "Do not start the service.")
    var noStart = false

    mutating func run() async throws {
        let name = try name()
        let given = try given(name)
        let account = try ServiceAccount(named: user)
        var file = try ConfigurationFile(path: config)
        let folder = ServiceAccount.folder(of: config)
        if renew { return try self.renew(given, ServerCertificate(folder: folder, account: account)) }
        try account.makeFolder(folder)
        var changes: [String] = []
        if force || !file.isSetUp {
            let certificate = ServerCertificate(folder: folder, account: account)
            // A certificate for another name must not replace the one that is there.
            if let given { try Self.check(given.chain, isFor: name) }
            if try certificate.put(given, for: name, force: force) {
                changes.append("\(certificate.files.chain) and its key were written")
            }
            fill(&file, certificate.files)
            try account.write(file.text, to: config)
            changes.append("\(config) was written")
        }
        let settings = try ServerConfiguration(SettingReader(file: config, environment: [:]))
        try account.makeState(settings.stateDirectory)
        let warnings: [CertificateProblem]
        do {
            warnings = try CheckCommand.validate(settings)
        } catch {
            throw OperatorError(.configuration, error.message)
        }
        for warning in warnings { LogSink.standardError.write("warning: \(TextEscape.escape(warning.message))\n") }
        try Self.check(settings.certificate.chain, isFor: name)
        try await finish(name, settings, account, changes)
    }

    /// Copies the certificate that an ACME client has renewed.
    private func renew(_ given: CertificateFiles?, _ certificate: ServerCertificate) throws {
        guard let given else { throw ValidationError("--renew needs --certbot, or --tls-cert and --tls-key") }
        _ = try certificate.put(given, for: "", force: true)
        try Answer.write("\(certificate.files.chain) and its key were written")
        guard isService, SystemCommand.run(["systemctl", "try-reload-or-restart", Self.unit]) != 0 else { return }
        throw OperatorError(.unavailable, "the relay did not take it: journalctl -u relay-server says why")
    }

    /// - Throws: ``OperatorError`` when clients that ask for `name` would refuse the certificate.
    private static func check(_ chain: String, isFor name: String) throws(OperatorError) {
        guard try facts(chain).first?.names.contains(where: { $0.covers(name) }) ?? false else {
            throw OperatorError(
                .configuration, "\(chain) is not for \(name): give the certificate of that name, or --force to make one"
            )
        }
    }

    private static func facts(_ chain: String) throws(OperatorError) -> [CertificateFacts] {
        do {
            return try CertificateFacts.read(chain)
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// Starts, invites, and says what there is now.
    private func finish(
        _ name: String, _ settings: ServerConfiguration, _ account: ServiceAccount, _ changes: [String]
    ) async throws {
        let isStarted = try start(isChanged: !changes.isEmpty)
        let invitation = try await FirstInvitation.make(for: invite, settings, account)
        let host = name.contains(":") ? "[\(name)]" : name
        let port = settings.listen.first?.port ?? 443
        let url = port == 443 ? "https://\(host)" : "https://\(host):\(port)"
        let chain = try Self.facts(settings.certificate.chain)
        // Only root, or a process with this capability, may bind ports below 1024.
        let needsPort = settings.listen.contains { $0.port < 1024 } || (settings.httpListen?.port ?? 1024) < 1024
        let capability = needsPort ? "--inh-caps +net_bind_service --ambient-caps +net_bind_service " : ""
        let state =
            isStarted
            ? "The relay runs: systemctl status relay-server"
            : "The relay is not started. To start it: setpriv --reuid \(user) --regid \(user) --clear-groups "
                + "\(capability)-- relay-server serve --config \(config)"
        let lines =
            (changes.isEmpty ? ["\(config) is set up already, and stays as it is (--force writes it anew)"] : changes)
            + [state, ""] + invitation.lines(url, chain)
            + [
                "",
                "For others: relay-server invite"
                    + (config == Defaults.Operations.configuration ? "" : " --config \(config)"),
            ] + renewal(settings)
        try Answer.write(lines.joined(separator: "\n"))
    }

    /// Puts what was asked for into the configuration, and keeps the rest of it.
    private func fill(_ file: inout ConfigurationFile, _ certificate: CertificateFiles) {
        file[.listen] = .texts(listen.isEmpty ? ["0.0.0.0:443"] : listen)
        file[.tlsCert] = .text(certificate.chain)
        file[.tlsKey] = .text(certificate.key)
        if let stateDir { file[.stateDir] = .text(stateDir) }
        if file[.stateDir] == nil { file[.stateDir] = .text("/var/lib/relay") }
        if let httpListen { file[.httpListen] = .text(httpListen) }
        if let acmeDir { file[.acmeDir] = .text(acmeDir) }
    }

    /// Where certbot has what it was given for `name`.
    private static func acmeFiles(_ name: String) -> CertificateFiles {
        let folder = "/etc/letsencrypt/live/\(name)"
        return CertificateFiles(chain: "\(folder)/fullchain.pem", key: "\(folder)/privkey.pem")
    }

    /// The certificate that was given; nil when one is to be made.
    private func given(_ name: String) throws -> CertificateFiles? {
        switch (tlsCert, tlsKey, certbot) {
        case (let chain?, let key?, false): return CertificateFiles(chain: chain, key: key)
        case (nil, nil, true):
            return Self.acmeFiles(name)
        case (nil, nil, false): return nil
        case (_, _, true):
            throw ValidationError("--certbot says where the certificate is: leave --tls-cert and --tls-key out")
        case (_, _, false): throw ValidationError("--tls-cert and --tls-key go together")
        }
    }

    /// The name that was given; without it, the answers of the person at the terminal, if there is one.
    private mutating func name() throws -> String {
        if let publicName { return try Self.host(publicName) }
        guard SetupQuestions.canAsk else { throw ValidationError("--public-name is missing: the name of the relay") }
        let name = try SetupQuestions.ask(
            "Name that people reach the relay by, such as relay.example.com:", Self.host)
        publicName = name
        if !renew, !certbot, tlsCert == nil, tlsKey == nil, SystemCommand.exists(Self.acmeFiles(name).chain) {
            certbot = try SetupQuestions.agrees(to: "certbot has a certificate for \(name). Shall the relay use it?")
        }
        if !renew, invite == nil {
            invite = try SetupQuestions.ask("Name of the first person to invite (empty: any):") { typed in
                typed.isEmpty ? nil : try PeerName.argument(typed)
            }
        }
        return name
    }

    private static func host(_ text: String) throws -> String {
        guard !text.isEmpty else { throw ValidationError("--public-name is missing: the name of the relay") }
        let isHost =
            text.utf8.count <= 253
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"):
                    true
                default: false
                }
            }
        guard isHost, text.first != "-" else {
            throw ValidationError("--public-name: \"\(text)\" is neither a host name nor an address")
        }
        return text.lowercased()
    }

    /// Starts the service where there is one.
    /// - Returns: whether it runs.
    private func start(isChanged: Bool) throws(OperatorError) -> Bool {
        guard !noStart, isService else { return false }
        // One that ran before has to take what is new.
        let commands =
            isChanged
            ? [["systemctl", "enable", Self.unit], ["systemctl", "restart", Self.unit]]
            : [["systemctl", "enable", "--now", Self.unit]]
        for command in commands {
            guard SystemCommand.run(command) == 0 else {
                throw OperatorError(
                    .unavailable, "\(command.joined(separator: " ")) failed: journalctl -u relay-server says why"
                )
            }
        }
        return true
    }

    private static let unit = "relay-server.service"

    /// Whether systemd runs the relay with this configuration.
    private var isService: Bool {
        // The last two are a package's, the one before them is the archive's.
        let folders = [
            "/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
        ]
        return config == Defaults.Operations.configuration && SystemCommand.exists("/run/systemd/system")
            && folders.contains { SystemCommand.exists("\($0)/\(Self.unit)") }
    }

    /// What renews a copied certificate.
    private func renewal(_ settings: ServerConfiguration) -> [String] {
        guard certbot || tlsCert != nil, let publicName else { return [] }
        let given = certbot ? "--certbot" : "--tls-cert \(tlsCert ?? "") --tls-key \(tlsKey ?? "")"
        return [
            "The certificate was copied. After each renewal (certbot: --deploy-hook):",
            "    relay-server setup --public-name \(publicName) \(given) --renew",
        ]
    }
}
