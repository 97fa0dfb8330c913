// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import ServerSystem
import Synchronization

/// What is told to the service manager that has started this process (sd_notify(3)): datagrams of `NAME=value` lines to
/// the socket that NOTIFY_SOCKET names. Without one nothing is told.
final class ServiceManager: Sendable {
    /// Something the manager wants to know.
    enum News: Hashable, Sendable {
        case ready
        case reloading(microseconds: UInt64)
        case stopping
        case watchdog
        /// One line for people.
        case status(String)
        /// From now on another process is the service.
        case mainProcess(pid_t)

        fileprivate var line: String {
            switch self {
            case .ready: "READY=1"
            case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time)"
            case .stopping: "STOPPING=1"
            case .watchdog: "WATCHDOG=1"
            case .status(let text): "STATUS=\(TextEscape.escape(text))"
            case .mainProcess(let process): "MAINPID=\(process)"
            }
        }
    }

    /// The environment variable with the socket's path; one that begins with `@` has no file.
    static let variable = "NOTIFY_SOCKET"

    private let path: String?
    /// Off once another process is the service.
    private let isOn = Mutex(true)

    init(variables: [String: String] = ServiceEnvironment.variables) {
        path = variables[Self.variable].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    }

    /// Tells all of `news` at once. What cannot be told is no reason to stop.
    func tell(_ news: News...) {
        guard let path, isOn.withLock({ $0 }) else { return }
        let text = Array(news.map(\.line).joined(separator: "\n").utf8)
        let socket = Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        guard let address = UnixAddress.make(path) else { return }
        let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
        _ = unsafe text.withUnsafeBytes { text in
            unsafe UnixAddress.use(address) { unsafe sendto(socket, text.baseAddress, text.count, flags, $0, $1) }
        }
    }

    /// Tells that `process` is the service from now on, and nothing any more.
    func handOver(to process: pid_t) {
        tell(.mainProcess(process))
        isOn.withLock { $0 = false }
    }

    /// The time of ``News/reloading(microseconds:)``.
    static var now: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000 &+ UInt64(clamping: time.tv_nsec) / 1000
    }
}
