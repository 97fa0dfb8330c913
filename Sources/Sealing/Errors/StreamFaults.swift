// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What a name in a manifest, or in a summary, breaks.
package enum NameFault: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case tooLong(Int)
    case notText
    case slash
    case nul
    case dots

    package var description: String {
        switch self {
        case .empty: "it is empty"
        case .tooLong(let length): "it has \(length) bytes, and may have 255"
        case .notText: "it is not UTF-8"
        case .slash: "it has a slash"
        case .nul: "it has a zero byte"
        case .dots: "it would lead out of its folder"
        }
    }
}

/// What a manifest breaks (docs/sealed-format.md, section 8).
package enum ManifestFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The stream's first byte is no form of a manifest, or not the one that is due.
    case form(UInt8)
    /// A record of a kind that has no place here.
    case kind(UInt8)
    /// A record of more bytes than one may have.
    case longRecord(UInt32)
    /// The record of this entry has not the fields of its kind.
    case fields(entry: UInt64)
    /// A name that may not be one.
    case name(entry: UInt64, [UInt8], NameFault)
    /// The folder that the entry says it is in is not one, or was left already.
    case parent(entry: UInt64)
    /// The name is in the folder already, or the order of names is not kept.
    case order(entry: UInt64, [UInt8])
    /// More folders within one another than may be.
    case depth(entry: UInt64)
    /// More entries than were announced, or than can be numbered.
    case tooMany
    /// The name, or what it is, is not what was announced.
    case announced(entry: UInt64, [UInt8])
    /// Fewer entries, or more or fewer bytes, than were announced.
    case counts
    /// The digest at the end is not the one of what came before.
    case digest
    /// It is not signed by the sender.
    case signature

    package var description: String {
        switch self {
        case .form(let form): "it has the form \(form)"
        case .kind(let kind): "a record of the kind \(kind) has no place in it"
        case .longRecord(let length): "a record of \(length) bytes is too long"
        case .fields(let entry): "entry \(entry) is not of its form"
        case .name(let entry, let name, let fault): "the name \(Self.shown(name)) of entry \(entry): \(fault)"
        case .parent(let entry): "entry \(entry) is in no folder that is open"
        case .order(let entry, let name): "the name \(Self.shown(name)) of entry \(entry) comes twice, or too late"
        case .depth(let entry): "entry \(entry) is in more than \(SealingDefaults.folderDepth) folders"
        case .tooMany: "it has more entries than were announced"
        case .announced(let entry, let name): "entry \(entry), \(Self.shown(name)), is not what was announced"
        case .counts: "it is not as many files, or bytes, as were announced"
        case .digest: "its digest is another one"
        case .signature: "the sender has not signed it"
        }
    }

    /// A name from outside, as it can be printed.
    static func shown(_ name: [UInt8]) -> String {
        let text = String(decoding: name.prefix(255), as: UTF8.self).unicodeScalars.map { scalar in
            scalar.mayDisturbTerminal ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }
        return "\"\(text.joined())\""
    }
}

/// What content breaks (docs/sealed-format.md, section 8.3).
package enum ContentFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// A record of a kind that has no place here.
    case kind(UInt8)
    /// A record whose length is not one of its kind.
    case length(kind: UInt8, UInt32)
    /// A reason that does not exist.
    case reason(UInt16)
    /// Zero bytes in a record of padding are not zero.
    case padding
    /// A file is longer or shorter than its entry says.
    case fileLength
    /// It ends, and files are missing.
    case missingFiles
    /// Content of a file that is not due.
    case noFile
    /// Something follows the end.
    case behindEnd

    package var description: String {
        switch self {
        case .kind(let kind): "a record of the kind \(kind) has no place in it"
        case .length(let kind, let length): "a record of the kind \(kind) has \(length) bytes"
        case .reason(let reason): "there is no reason \(reason)"
        case .padding: "its padding is not empty"
        case .fileLength: "a file is not as long as was announced"
        case .missingFiles: "files are missing"
        case .noFile: "it belongs to no file"
        case .behindEnd: "something follows its end"
        }
    }
}

/// Why the sender could not read a file to its end.
package enum UnreadableReason: UInt16, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case grew = 1
    case shrank = 2
    case changed = 3
    case cannotRead = 4

    package var description: String {
        switch self {
        case .grew: "a file grew while it was being sent"
        case .shrank: "a file shrank while it was being sent"
        case .changed: "a file changed while it was being sent"
        case .cannotRead: "a file cannot be read"
        }
    }

    /// What the other client is told.
    package var code: RefusalCode {
        switch self {
        case .grew, .shrank, .changed: .sourceChanged
        case .cannotRead: .cannotRead
        }
    }
}
