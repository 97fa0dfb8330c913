// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CloseOnExec
import CommandLineInterface
import Glibc
import NIOPosix
import TLSTransport
import TransferClient

/// What every command needs: the options, the environment, a reporter, and a way to be interrupted.
struct Client: Sendable {
    let environment: Environment
    /// The folder of the profile.
    let directory: String
    /// The relay that an option or a variable names; nil leaves it to the profile.
    let server: String?
    /// The file of authorities that an option or a variable names.
    let authorities: String?
    let reporter: Reporter
    let interrupt = InterruptSignal()

    /// - Parameters:
    ///   - contentOnStandardOutput: whether standard output is taken by received content.
    ///   - reporter: another than that of the standard streams in tests only.
    init(
        _ options: GlobalOptions, contentOnStandardOutput: Bool = false, environment: Environment = .current,
        reporter: Reporter? = nil
    ) throws {
        self.environment = environment
        directory =
            try options.profile.map(Pasted.path) ?? environment[.profile]
            ?? ProfileLocation.directory(environment: environment.variables)
        server = options.server.map(Pasted.trimmed) ?? environment[.server]
        authorities = options.authorities.map(Pasted.path) ?? environment[.ca]
        for (path, name) in [(directory, Environment.Variable.profile), (authorities ?? "", .ca)] {
            guard let mistake = UnexpandedHome.mistake(path, of: name.rawValue) else { continue }
            throw ClientError.command(mistake, .configuration)
        }
        let mode = Reporter.mode(
            json: options.json, quiet: options.quiet, isTerminal: StandardStream.isTerminal(STDERR_FILENO),
            environment: environment.variables
        )
        self.reporter =
            reporter
            ?? Reporter(mode: mode, isVerbose: options.verbose, contentOnStandardOutput: contentOnStandardOutput)
    }

    /// The profile, with what had to be put right reported. Throws ``FileError``.
    func profile() throws -> Profile {
        let profile = try Profile.load(directory: directory)
        for warning in profile.warnings { reporter.report(.warning(warning)) }
        return profile
    }

    /// The relay: option, variable or profile, in this order. Throws ``ClientError`` or ``ConnectionError``.
    func relay(of profile: Profile?) throws -> RelayURL {
        guard let text = server ?? profile?.server else {
            throw ClientError.command("no relay is named; give --server URL, or log in first", .configuration)
        }
        return try RelayURL(text)
    }

    /// How to connect to `relay`. Throws ``ConnectionError`` when a setting that this needs cannot be used.
    func dialer(to relay: RelayURL, authorities: String?) throws -> Dialer {
        do {
            let trust = authorities.map(TLSTrust.file) ?? .system
            let dialer = Dialer(
                proxies: ProxySettings(environment: environment.variables),
                tls: try TLSContext.client(trust: trust, applicationProtocols: ["http/1.1"]),
                group: MultiThreadedEventLoopGroup.singleton
            )
            _ = try dialer.proxy(for: relay.endpoint)
            return dialer
        } catch let error as TLSError {
            throw ConnectionError(settings: error)
        }
    }

    /// How to connect as the profile says.
    func connector() throws -> ControlConnector {
        let profile = try profile()
        let relay = try relay(of: profile)
        // What is wrong with them, with the clock, or with the known peers is said before a relay is promised anything.
        _ = try PrekeyStore(directory).current(name: profile.name, now: WallClock.milliseconds())
        _ = try PeerStore(directory).list()
        return connector(relay, try dialer(to: relay, authorities: authorities ?? profile.caPath), profile)
    }

    /// How to connect to `relay` as `profile`.
    func connector(_ relay: RelayURL, _ dialer: Dialer, _ profile: Profile) -> ControlConnector {
        ControlConnector(
            relay: relay, dialer: dialer, identity: Identity(profile), sealing: sealing(profile),
            records: TransferRecords(directory), reporter: reporter, interrupt: interrupt,
            home: EventLoopExecutor(MultiThreadedEventLoopGroup.singleton.any())
        )
    }

    /// Who `profile` is to others, and whom it knows.
    func sealing(_ profile: Profile) -> SealingParty {
        SealingParty(
            name: profile.name, signingKey: profile.signingKey, prekeys: PrekeyStore(directory),
            peers: PeerStore(directory), attempts: AttemptStore(directory), time: WallClock.milliseconds
        )
    }

    /// Runs a session of one part to its end.
    func run(_ part: (SessionEnvironment, EventQueue<SessionEvent>) -> any SessionPart) async throws {
        let (environment, queue) = (try connector().environment, EventQueue<SessionEvent>())
        try await run([part(environment, queue)], environment, queue)
    }

    /// Runs a session to its end.
    func run(
        _ parts: [any SessionPart], _ environment: SessionEnvironment, _ queue: EventQueue<SessionEvent>
    ) async throws {
        var session = ControlSession(environment, queue: queue, parts: parts)
        let status = try await session.run()
        if status != .done { throw ExitCode(status.rawValue) }
    }

    /// Runs a command: an interrupt is told, an error becomes one line and the exit status.
    static func run(
        _ options: GlobalOptions, contentOnStandardOutput: Bool = false, _ body: (Client) async throws -> Void
    )
        async throws
    {
        var reporter: Reporter?
        do {
            let client = try Client(options, contentOnStandardOutput: contentOnStandardOutput)
            reporter = client.reporter
            // The group is made by being named.
            _ = MultiThreadedEventLoopGroup.singleton
            CloseOnExec.markOpen()
            let signals = Signals(client.interrupt)
            defer { signals.stop() }
            try await body(client)
            client.reporter.finish()
            if client.reporter.hasLostOutput { throw ExitCode(ExitStatus.inputOutput.rawValue) }
        } catch let error as ExitCode {
            reporter?.finish()
            throw error
        } catch {
            let problem = ClientError(error)
            let shown = reporter ?? Reporter(mode: .plain)
            shown.report(.failed(nil, code: problem.status.code, message: problem.description))
            shown.finish()
            throw ExitCode(problem.status.rawValue)
        }
    }
}

extension Identity {
    /// Who the profile is.
    init(_ profile: Profile) {
        self.init(name: profile.name, signingKey: profile.signingKey)
    }
}
