// SPDX-License-Identifier: Apache-2.0

import Sealing
import WSProtocol

/// What a later process has to know to go on with a transfer that this profile sends.
struct SentRecord: Hashable, Sendable {
    let transfer: CarriedTransfer
    /// Who it goes to, and the identity that it is sealed for.
    let receiver: Party
    /// What is sent: absolute paths, in the order of the command line.
    let paths: [String]
    /// The patterns of `--exclude`.
    let exclude: [String]
    /// Whether `--preserve` was given.
    let keepsMetadata: Bool
    let summary: OfferSummary
    /// The digest of the manifest.
    let manifest: ManifestDigest
    /// What the files were when it began: 32 bytes.
    let state: [UInt8]
    /// When it began, in milliseconds since 1970.
    let since: UInt64

    /// The bytes of ``state``.
    static let stateLength = 32
    /// The bytes of ``manifest``.
    static let manifestLength = 32
}

/// What a person is shown of a transfer that this profile receives, and where its parts are.
struct ReceivedRecord: Hashable, Sendable {
    let transfer: CarriedTransfer
    let sender: Party
    /// The folder that it goes to: absolute.
    let folder: String
    let summary: OfferSummary
    /// Whether `--preserve` was given.
    let keepsMetadata: Bool
    /// The paths that were asked for; nil for what came unasked.
    var fetched: [String]?
    /// When it was accepted, in milliseconds since 1970.
    let since: UInt64
}

/// A transfer that was begun and is not complete, as this profile knows it.
enum TransferRecord: Hashable, Sendable {
    case sending(SentRecord)
    case receiving(ReceivedRecord)

    var transfer: CarriedTransfer {
        switch self {
        case .sending(let record): record.transfer
        case .receiving(let record): record.transfer
        }
    }

    /// Who is at the other end.
    var peer: Party {
        switch self {
        case .sending(let record): record.receiver
        case .receiving(let record): record.sender
        }
    }

    var summary: OfferSummary {
        switch self {
        case .sending(let record): record.summary
        case .receiving(let record): record.summary
        }
    }

    /// When it began, in milliseconds since 1970.
    var since: UInt64 {
        switch self {
        case .sending(let record): record.since
        case .receiving(let record): record.since
        }
    }
}
