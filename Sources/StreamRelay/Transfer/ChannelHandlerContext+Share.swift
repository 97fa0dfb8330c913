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

    /// Bytes that were written and that the kernel has not taken yet.
    var unsentBytes: Int { (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }
}
