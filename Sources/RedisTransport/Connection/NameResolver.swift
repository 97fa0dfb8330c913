// SPDX-License-Identifier: Apache-2.0

private import Dispatch
private import Glibc
internal import NIOCore
internal import NIOPosix
private import Synchronization

/// Looks up the name of a Redis with the system's resolver, on a thread of its own, one time after the other.
///
/// A look-up cannot be ended, and with a dead name server one takes far longer than an attempt to connect. NIO's own
/// resolver would queue one for each attempt, without end. Here an attempt fails at once while the last look-up runs.
final class NameResolver: Resolver, Sendable {
    /// The addresses of a name, in the order in which they are to be tried. It may block.
    typealias LookUp = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    /// Why there is no address.
    enum Failure: Error, CustomStringConvertible {
        /// The last look-up still runs.
        case unanswered
        /// The system's message.
        case refused(String)

        var description: String {
            switch self {
            case .unanswered: "its name is being looked up, and the name server does not answer"
            case .refused(let message): "its name has no address: \(message)"
            }
        }
    }

    private let eventLoop: any EventLoop
    private let lookUp: LookUp
    private let queue = DispatchQueue(label: "relay.redis.names")
    private let state = Mutex(State())

    private struct State: Sendable {
        var isRunning = false
        /// The second half of the answer for the attempt that is being made.
        var version4: EventLoopFuture<[SocketAddress]>?
    }

    init(eventLoop: any EventLoop, lookUp: @escaping LookUp = NameResolver.system) {
        self.eventLoop = eventLoop
        self.lookUp = lookUp
    }

    /// Called first by NIO: looks both kinds up at once.
    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        let version6 = eventLoop.makePromise(of: [SocketAddress].self)
        let version4 = eventLoop.makePromise(of: [SocketAddress].self)
        let isFree = state.withLock { state in
            defer { (state.isRunning, state.version4) = (true, version4.futureResult) }
            return !state.isRunning
        }
        guard isFree else {
            version4.fail(Failure.unanswered)
            version6.fail(Failure.unanswered)
            return version6.futureResult
        }
        queue.async { [self] in
            let result = Result { try lookUp(host, port) }
            state.withLock { $0.isRunning = false }
            version6.completeWith(result.map { $0.filter { $0.protocol == .inet6 } })
            version4.completeWith(result.map { $0.filter { $0.protocol == .inet } })
        }
        return version6.futureResult
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        state.withLock { $0.version4 } ?? eventLoop.makeFailedFuture(Failure.unanswered)
    }

    func cancelQueries() {}

    /// The system's resolver, which blocks.
    static let system: LookUp = { host, port in
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_protocol = CInt(IPPROTO_TCP)
        var first: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &first)
        guard code == 0 else {
            throw unsafe Failure.refused(gai_strerror(code).map { unsafe String(cString: $0) } ?? "\(code)")
        }
        defer { unsafe freeaddrinfo(first) }
        var addresses: [SocketAddress] = []
        var next = unsafe first
        while let entry = unsafe next?.pointee {
            if let address = unsafe NameResolver.address(entry, host) { addresses.append(address) }
            unsafe next = unsafe entry.ai_next
        }
        return addresses
    }

    private static func address(_ entry: addrinfo, _ host: String) -> SocketAddress? {
        guard let bytes = unsafe UnsafeRawPointer(entry.ai_addr) else { return nil }
        switch unsafe entry.ai_family {
        case AF_INET: return unsafe SocketAddress(bytes.load(as: sockaddr_in.self), host: host)
        case AF_INET6: return unsafe SocketAddress(bytes.load(as: sockaddr_in6.self), host: host)
        default: return nil
        }
    }
}
