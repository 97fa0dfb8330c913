// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem
import TransferBroker

/// Starts another copy of this program with the words that this one was started with.
struct Launch: Sendable {
    /// How a copy's start went.
    enum Outcome: Hashable, Sendable {
        case serves
        /// Its own words, as far as it had any.
        case failed(String, ChildProcess.End?)
    }

    /// The program's path as it was when this was read first, which has to be at the start: an upgrade puts another
    /// file there, which is the one to be started then, and what the system says of this process is no path any more.
    static let program: String = {
        let name = CommandLine.arguments.first ?? ""
        if name.hasPrefix("/") { return name }
        return (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? name
    }()

    let purpose: StartReport.Purpose
    /// Seconds after which a copy that has not said anything is ended; nil when it may take its time.
    var limit: Int64?

    /// Starts the copy, and calls `started` with it before its start is waited for. Blocks the thread.
    /// - Throws: ``OperatorError`` when there is no copy.
    func run(_ started: (ChildProcess) -> Void = { _ in }) throws(OperatorError) -> Outcome {
        var ends: [CInt] = [-1, -1]
        let child: ChildProcess
        do {
            try SystemError.check { unsafe ends.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress) } }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[1]) }
            child = try ChildProcess.start(
                Self.program, arguments: CommandLine.arguments, variables: variables, report: ends[1],
                isDetached: purpose == .daemon
            )
        } catch {
            if ends[0] >= 0 { close(ends[0]) }
            throw OperatorError(.unavailable, "cannot start \(Self.program): \(error)")
        }
        defer { close(ends[0]) }
        started(child)
        if let limit {
            var waiting = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            let milliseconds = CInt(clamping: limit * 1000)
            if (try? SystemError.check { unsafe poll(&waiting, 1, milliseconds) }) ?? 0 == 0 { child.kill() }
        }
        // Ends when the copy has closed its end, which its death does too.
        let words = (try? BoundedFile.read(ends[0], limit: Defaults.Service.maximumReport)) ?? Data()
        let text = String(decoding: words, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
        return text == StartReport.ready ? .serves : .failed(text, child.wait())
    }

    private var variables: [String: String] {
        var variables = ServiceEnvironment.variables
        variables[StartReport.variable] = purpose.rawValue
        // What was said about this process and its descriptors does not hold for another.
        for name in SocketActivation.variables + [Watchdog.processVariable] { variables[name] = nil }
        return variables
    }
}
