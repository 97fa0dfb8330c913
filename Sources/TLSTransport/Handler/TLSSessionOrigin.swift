// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Where the session of a TLS handler comes from, when there is none yet.
enum TLSSessionOrigin {
    /// It is there, or was.
    case made
    /// It is made when the peer says something.
    case later(() throws(TLSError) -> TLSConnection)
    /// It could not be made.
    case failed(TLSError)
}

extension TLSHandler {
    /// The server's end of a connection.
    package convenience init(
        server context: TLSContext, handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout,
        observer: TLSObserver = TLSObserver()
    ) {
        // Not made yet: some 70 KiB, most of it for the handshake, which a client that says nothing must not cost.
        let origin = TLSSessionOrigin.later { () throws(TLSError) in try TLSConnection(server: context) }
        self.init(nil, origin, handshakeTimeout: handshakeTimeout, observer: observer)
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
        do throws(TLSError) {
            let connection = try TLSConnection(client: context, serverName: serverName, port: port)
            self.init(connection, .made, handshakeTimeout: handshakeTimeout)
        } catch {
            self.init(nil, .failed(error), handshakeTimeout: handshakeTimeout)
        }
    }

    /// Goes on with a session that another handler has given up. If the session holds data already, it is delivered at
    /// the first `read`, or soon after the handler is added to an active channel that reads by itself.
    package convenience init(adopting handover: TLSHandover) {
        let connection = handover.take()
        let gone = TLSError(.closed, detail: "it was taken over before")
        self.init(
            connection, connection == nil ? .failed(gone) : .made,
            state: connection == nil ? .idle : handover.state, mayHavePending: true, observer: handover.observer)
    }
}
