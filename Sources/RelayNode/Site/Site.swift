// SPDX-License-Identifier: Apache-2.0

package import ServerSystem
import StreamRelay
import Synchronization
import TransferBroker

/// What people see who open the relay's address in a browser.
package final class Site: Sendable {
    /// Where it comes from.
    package enum Content: Sendable {
        /// A page that the relay makes itself, about the certificates that it shows at that moment.
        case welcome(@Sendable () -> WelcomePage)
        /// The operator's own files.
        case folder(ServedFolder)
    }

    let content: Content
    private let places = Mutex(0)

    package init(_ content: Content) { self.content = content }

    /// A place among the files that are being sent; nil when there is none left.
    func place() -> SitePlace? {
        places.withLock { taken in
            guard taken < Defaults.Site.files else { return false }
            taken += 1
            return true
        } ? SitePlace(self) : nil
    }

    fileprivate func leave() { places.withLock { $0 -= 1 } }
}

/// A place among the files that are being sent, given back when this goes.
final class SitePlace: Sendable {
    private let site: Site

    fileprivate init(_ site: Site) { self.site = site }

    deinit { site.leave() }
}
