// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import TLSTransport

extension ChannelHandlerContext {
    /// Makes the connection's TLS use `buffers`; false if it has none.
    @discardableResult
    package func share(_ buffers: SharedBuffers) -> Bool {
        guard let tls = try? pipeline.syncOperations.handler(type: TLSHandler.self) else { return false }
        tls.share(buffers)
        return true
    }
}
