// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import RedisTransport

@Suite("Looking up the name of a Redis") struct NameResolverTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    @Test("while a look-up is not answered, attempts fail at once and begin no other")
    func aLookUpWithoutAnAnswerFailsLaterAttemptsAtOnce() async throws {
        let answer = DispatchSemaphore(value: 0)
        let count = Mutex(0)
        let address = try SocketAddress(ipAddress: "10.0.0.1", port: 1)
        let resolver = NameResolver(eventLoop: loop) { _, _ in
            count.withLock { $0 += 1 }
            answer.wait()
            return [address]
        }
        let first = (resolver.initiateAAAAQuery(host: "x", port: 1), resolver.initiateAQuery(host: "x", port: 1))
        for _ in 0..<100 {
            let next = (resolver.initiateAAAAQuery(host: "x", port: 1), resolver.initiateAQuery(host: "x", port: 1))
            await #expect(throws: NameResolver.Failure.self) { try await next.0.get() }
            await #expect(throws: NameResolver.Failure.self) { try await next.1.get() }
        }
        answer.signal()
        #expect(try await first.0.get() == [])
        #expect(try await first.1.get() == [address])
        #expect(count.withLock { $0 } == 1)
        answer.signal()
        let last = (resolver.initiateAAAAQuery(host: "x", port: 1), resolver.initiateAQuery(host: "x", port: 1))
        #expect(try await last.1.get() == [address])
    }

    @Test("the system knows this machine, and says in words what it does not know")
    func theSystemResolvesThisMachine() throws {
        #expect(try NameResolver.system("127.0.0.1", 7) == [SocketAddress(ipAddress: "127.0.0.1", port: 7)])
        #expect(try NameResolver.system("::1", 7) == [SocketAddress(ipAddress: "::1", port: 7)])
        #expect(try !NameResolver.system("localhost", 7).isEmpty)
        #expect(throws: NameResolver.Failure.self) { try NameResolver.system("no such name", 7) }
    }
}
