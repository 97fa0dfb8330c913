// SPDX-License-Identifier: Apache-2.0

/// Where one content is carried, connection and tasks. A small one costs what its steps cost, most of it threads that wake each
/// other: it has one event loop for everything but its file. A large one costs what its bytes do, and is left to all
/// threads, so that encryption, hashing and files have one each.
struct StreamPlace: Sendable {
    /// Where its tasks run; nil leaves that open.
    let executor: EventLoopExecutor?
    /// Makes its connections.
    let dialer: Dialer
    /// Shows something to the person.
    let report: @Sendable (TransferReport) -> Void

    /// - Parameters:
    ///   - size: bytes of content; nil when that is not known.
    ///   - post: hands over what is to be shown: a terminal may block whoever shows it, which must not be an event loop.
    init(size: UInt64?, link: RelayLink, post: @escaping @Sendable (TransferReport) -> Void) {
        if let size, size <= Defaults.smallContent {
            executor = link.home
            dialer = link.dialer.on(link.home.loop)
            report = post
        } else {
            executor = nil
            dialer = link.dialer
            report = link.reporter.report
        }
    }
}
