// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import NIOCore
import ServerSystem
import TransferBroker

/// Says at start and once a day what is wrong with the relay's certificates, so that it is read before clients refuse
/// them.
struct CertificateWatch: Sendable {
    let certificates: Replaceable<CertificateInventory>
    let logger: Logger
    /// Seconds since 1970; another clock in tests.
    var now: @Sendable () -> Int64 = { Int64(LogTime.now.seconds) }

    /// Looks now and every ``Defaults/Operations/certificateInterval``, on `loop`, for as long as the loop runs.
    func start(on loop: any EventLoop) {
        look()
        let interval = Defaults.Operations.certificateInterval
        loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in look() }
    }

    /// Looks once.
    func look() {
        for problem in certificates.current.problems(at: now()) {
            let details: Logger.Metadata = [LogKeys.file: "\(problem.path)", LogKeys.error: "\(problem.message)"]
            switch problem.kind {
            case .expired: logger.error("a certificate has expired: it is refused by the other side", metadata: details)
            case .notYetValid:
                logger.error("a certificate is not valid yet: it is refused by the other side", metadata: details)
            case .endsSoon: logger.warning("a certificate ends soon", metadata: details)
            case .otherName:
                logger.warning("the certificate is for other names than the public URL's", metadata: details)
            case .notIssued:
                logger.error("the certificates are no chain: some clients refuse the relay", metadata: details)
            case .alone: logger.warning("the certificate's issuer is not in its file", metadata: details)
            }
        }
    }
}
