// SPDX-License-Identifier: Apache-2.0

import Logging
import RelayNode
import ServerSystem
import Synchronization
import TLSTransport
import TransferBroker

/// Reads the configuration and its files again, on SIGHUP or by `relay-server reload`: all of them are good, and take
/// effect for what comes from now on, or nothing changes. For any thread.
final class Reloader: Sendable {
    /// Puts what has changed in its place.
    struct Targets: Sendable {
        var tls: Replaceable<TLSContext>
        var certificates: Replaceable<CertificateInventory>
        var tickets: TicketKeys
        /// This node's certificate; nil for the only node.
        var node: (@Sendable (ServerConfiguration) throws(OperatorError) -> @Sendable () -> Void)?
        /// Takes the limits of a configuration.
        var limits: @Sendable (ServerConfiguration) -> Void
        var level: Replaceable<Logger.Level>
    }

    /// What has an effect without a new process.
    static let live: Set<Setting> = [
        .tlsCert, .tlsKey, .clusterCA, .clusterCert, .clusterKey, .limit, .addressLimit, .memoryLimit, .logLevel,
    ]

    private struct State {
        var configuration: ServerConfiguration
        var counts = ReloadCounts()
    }

    private let state: Mutex<State>
    private let read: @Sendable () throws(OperatorError) -> ServerConfiguration
    private let targets: Targets
    private let logger: Logger
    private let changed: @Sendable () -> Void
    /// Held by a reload while it runs: there is one at a time.
    private let turn = Mutex<Void>(())

    /// - Parameters:
    ///   - read: the configuration as its flags, variables and file say now.
    ///   - changed: called after each that was done.
    init(
        _ configuration: ServerConfiguration, _ targets: Targets, logger: Logger,
        read: @escaping @Sendable () throws(OperatorError) -> ServerConfiguration,
        changed: @escaping @Sendable () -> Void
    ) {
        state = Mutex(State(configuration: configuration))
        self.read = read
        self.targets = targets
        self.logger = logger
        self.changed = changed
    }

    var counts: ReloadCounts { state.withLock { $0.counts } }

    /// Does it; reads files, so not on an event loop.
    /// - Throws: ``OperatorError``: what is wrong, and that nothing has changed.
    @discardableResult
    func reload() throws(OperatorError) -> ReloadOutcome {
        do {
            let outcome = try turn.withLock { _ throws(OperatorError) in try replaceAll() }
            state.withLock { state in
                state.counts.done &+= 1
                state.counts.isFailing = false
            }
            logger.notice(
                "reloaded",
                metadata: [
                    LogKeys.applied: "\(outcome.applied.joined(separator: ","))",
                    LogKeys.waiting: "\(outcome.waiting.joined(separator: ","))",
                ]
            )
            changed()
            return outcome
        } catch {
            state.withLock { state in
                state.counts.failed &+= 1
                state.counts.isFailing = true
            }
            logger.error("nothing was reloaded", metadata: [LogKeys.error: "\(error)"])
            throw OperatorError(.configuration, "nothing was reloaded: \(error.message)")
        }
    }

    private func replaceAll() throws(OperatorError) -> ReloadOutcome {
        let new = try read()
        // Everything is read before anything is replaced.
        let tls = try new.certificate.load(tickets: targets.tickets)
        let certificates = try CertificateInventory(new)
        let problems = certificates.problems(at: Int64(LogTime.now.seconds))
        if let problem = problems.first(where: \.isFatal) { throw OperatorError(.configuration, problem.message) }
        let replaceNode = try targets.node?(new)

        targets.tls.replace(with: tls)
        targets.certificates.replace(with: certificates)
        replaceNode?()
        targets.limits(new)
        targets.level.replace(with: new.log.level)
        return state.withLock { state in
            let changed = new.differences(from: state.configuration)
            state.configuration = state.configuration.takingLive(from: new)
            let always: Set<Setting> = targets.node == nil ? [.tlsCert] : [.tlsCert, .clusterCert]
            func names(_ settings: some Sequence<Setting>) -> [String] { settings.map(\.rawValue).sorted() }
            return ReloadOutcome(
                applied: names(changed.intersection(Self.live).union(always)),
                waiting: names(changed.subtracting(Self.live)), isNode: targets.node != nil
            )
        }
    }
}

extension ServerConfiguration {
    /// The settings whose values here are not those of `other`.
    func differences(from other: ServerConfiguration) -> Set<Setting> {
        var found: Set<Setting> = []
        func compare<Value: Equatable>(_ setting: Setting, _ path: KeyPath<ServerConfiguration, Value>) {
            if self[keyPath: path] != other[keyPath: path] { found.insert(setting) }
        }
        compare(.listen, \.listen)
        compare(.tlsCert, \.certificate.chain)
        compare(.tlsKey, \.certificate.key)
        compare(.stateDir, \.stateDirectory)
        compare(.registration, \.registration)
        compare(.publicURL, \.publicURL)
        compare(.httpListen, \.httpListen)
        compare(.acmeDir, \.acmeDirectory)
        compare(.site, \.site)
        compare(.metricsListen, \.metricsListen)
        compare(.proxyProtocol, \.proxyProtocol)
        compare(.trustedProxy, \.trustedProxy)
        compare(.addressLimit, \.addressLimit)
        compare(.limit, \.limits)
        compare(.memoryLimit, \.memoryLimit)
        compare(.logLevel, \.log.level)
        compare(.logFormat, \.log.format)
        compare(.logAddresses, \.log.addresses)
        compare(.logFile, \.log.file)
        compare(.pidFile, \.pidFile)
        switch (cluster, other.cluster) {
        case (let cluster?, let other?): found.formUnion(cluster.differences(from: other))
        case (nil, nil): break
        case (nil, _?), (_?, nil): found.insert(.redis)
        }
        return found
    }

    /// This configuration with what takes effect at once from `new`.
    func takingLive(from new: ServerConfiguration) -> ServerConfiguration {
        var configuration = self
        configuration.certificate = new.certificate
        if let cluster, let new = new.cluster { configuration.cluster = cluster.takingLive(from: new) }
        configuration.memoryLimit = new.memoryLimit
        configuration.limits = new.limits
        configuration.addressLimit = new.addressLimit
        configuration.log.level = new.log.level
        return configuration
    }
}
