// SPDX-License-Identifier: Apache-2.0

extension FailureCode {
    /// One sentence for a person: what is the matter, without a full stop. It names nobody and nothing.
    package var sentence: String {
        switch self {
        case .badMessage: "this is not a message with the fields of its type"
        case .unknownType: "there is no such type of message"
        case .notNow: "this message is not allowed before login, nor a second login"
        case .rateLimited: "too many messages: slow down"
        case .loginRefused: "no such name, another key, or a signature that does not hold"
        case .nameTaken: "the name belongs to another key"
        case .badInvitation: "the invitation is unknown, used, expired or for another name"
        case .registrationClosed: "this relay takes no new names"
        case .tooManySessions: "this name has as many sessions as it may"
        case .unknownPeer: "nobody here has that name"
        case .peerOffline: "nobody of that name is receiving"
        case .unknownTransfer: "there is no such transfer, it is not yours, or it is over"
        case .transferExists: "a transfer of that id is running"
        case .tooManyTransfers: "there are as many transfers as there may be: wait until one has ended"
        case .draining: "the relay is about to stop: connect again in a moment"
        case .unavailable: "the relay cannot do this now: try again in a moment"
        case .clusterUnavailable: "this node cannot reach the rest of the cluster: try again in a moment"
        case .internalError: "a fault of the relay"
        case .acceptedElsewhere: "another session of the same name accepted"
        case .expired: "nobody answered, or a half did not attach, in time"
        case .senderGone: "the sender's connection was cut"
        case .receiverGone: "the receiver's connection was cut"
        case .stalled: "a side stopped moving bytes"
        case .malformedBody: "the sender's body is not what its framing says"
        case .declined: "declined"
        case .cancelled: "cancelled"
        case .timedOut: "the sender waited as long as it was told to"
        case .noSpace: "the receiver has no room for it"
        case .cannotWrite: "the receiver cannot write where it has to"
        case .cannotRead: "the sender cannot read on"
        case .sourceChanged: "the file changed while it was being sent"
        case .verificationFailed: "the content is not what was sent"
        case .tooLarge: "it is larger than the receiver takes"
        case .protocolError: "the other client broke the protocol"
        }
    }
}
