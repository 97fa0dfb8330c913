// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

/// How long a client waits for the steps of a transfer that neither the relay nor the peer bounds.
package struct TransferTiming: Hashable, Sendable {
    /// For the relay's answer to a request.
    package var answer: TimeAmount
    /// For `delivered`, after the relay has taken the last byte. The receiver has as long to verify and store.
    package var delivery: TimeAmount
    /// For the relay's word on why a stream broke, which is more exact than what the stream itself can tell.
    package var explanation: TimeAmount

    package init(
        answer: TimeAmount = ProtocolDefaults.answerTimeout, delivery: TimeAmount = ProtocolDefaults.deliveryTimeout,
        explanation: TimeAmount = ProtocolDefaults.explanationTimeout
    ) {
        self.answer = answer
        self.delivery = delivery
        self.explanation = explanation
    }
}
