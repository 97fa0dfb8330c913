// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A client's request about a transfer whose home is another node.
enum ForwardedRequest: Hashable, Sendable {
    case accept(ClientMessage.Accept)
    case decline(ClientMessage.Decline)
    case cancel(ClientMessage.Cancel)
    case progress(ClientMessage.Progress)
    case delivered(ClientMessage.Delivered)
}
