// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The session of a TLS handler: how it is made, why there is none, and where it has gone.
struct TLSSessionSlot {
    /// The session; nil at a server until the client says something, when it could not be made, after it was handed
    /// over, and after the handler was removed.
    private(set) var connection: TLSConnection?
    /// Makes the session when it is needed.
    private var make: (() throws(TLSError) -> TLSConnection)?
    /// Why there is no session, if it could not be made.
    private(set) var failure: TLSError?
    /// Where the session has gone.
    private(set) var handover: TLSHandover?

    /// A session that ``makeIfNeeded()`` makes.
    init(make: @escaping () throws(TLSError) -> TLSConnection) { self.make = make }

    /// The session that another handler has given up.
    init(adopting handover: TLSHandover) {
        connection = handover.take()
        failure = connection == nil ? TLSError(.closed, detail: "it was taken over before") : nil
    }

    /// Makes the session unless that was done or tried before.
    mutating func makeIfNeeded() {
        guard let make = make.take() else { return }
        do throws(TLSError) {
            connection = try make()
        } catch {
            failure = error
        }
    }

    /// Gives the session away.
    mutating func handOver(
        _ connection: TLSConnection, _ state: TLSStateMachine.State, limitMet: (@Sendable () -> Void)?
    ) -> TLSHandover {
        self.connection = nil
        connection.store.share(nil)
        let handover = TLSHandover(connection, state: state, limitMet: limitMet)
        self.handover = handover
        return handover
    }

    /// Frees the session.
    mutating func remove() { (connection, make, handover) = (nil, nil, nil) }
}

extension TLSHandler {
    /// The server's end of a connection.
    package convenience init(server context: TLSContext, handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout) {
        // Not made yet: some 70 KiB, most of it for the handshake, which a client that says nothing must not cost.
        let session = TLSSessionSlot { () throws(TLSError) in try TLSConnection(server: context) }
        self.init(session, handshakeTimeout: handshakeTimeout)
    }

    /// The client's end of a connection.
    ///
    /// - Parameters:
    ///   - serverName: the name the server's certificate must be for.
    ///   - port: the server's port, to tell servers on one host apart when a session is resumed.
    package convenience init(
        client context: TLSContext, serverName: TLSServerName, port: Int? = nil,
        handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout
    ) {
        var session = TLSSessionSlot { () throws(TLSError) in
            try TLSConnection(client: context, serverName: serverName, port: port)
        }
        session.makeIfNeeded()
        self.init(session, handshakeTimeout: handshakeTimeout)
    }

    /// Goes on with a session that another handler has given up. If the session holds data already, it is delivered at
    /// the first `read`, or soon after the handler is added to an active channel that reads by itself.
    package convenience init(adopting handover: TLSHandover) {
        let session = TLSSessionSlot(adopting: handover)
        self.init(
            session, state: session.connection == nil ? .idle : handover.state, mayHavePending: true,
            limitMet: handover.limitMet)
    }
}
