// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a file system refuses a name that others take, found out by trying: no list of what exFAT, FAT, NTFS or a share of
/// Windows refuse is ever complete, and each says so with another number.
enum NameRefusal: Hashable, Sendable {
    /// It takes none with this character in it.
    case character(Unicode.Scalar)
    /// It takes none that ends so.
    case ending(Unicode.Scalar)
    /// It takes none as long as this one.
    case length
    /// It takes files, but none of this name.
    case name

    /// What is wrong with `name`, of which `failure` was said; nil when the folder takes no file of any name now. `takes`
    /// says whether a file can be made whose name ends with what it is given.
    static func find(_ name: SafeFileName, after failure: SystemFailure, takes: (String) -> Bool) -> NameRefusal? {
        guard takes("") else { return nil }
        if failure.number == ENAMETOOLONG { return .length }
        if let ending = refusedEnding(name, takes: takes) { return .ending(ending) }
        var tried: Set<Unicode.Scalar> = []
        for scalar in name.text.unicodeScalars where !isHarmless(scalar) && tried.insert(scalar).inserted {
            guard tried.count <= Defaults.mostProbedCharacters else { break }
            if !takes("\(scalar)x") { return .character(scalar) }
        }
        return .name
    }

    /// The end of `name`, if the file system refuses it. The name of the part file has another end.
    static func refusedEnding(_ name: SafeFileName, takes: (String) -> Bool) -> Unicode.Scalar? {
        guard let last = name.text.unicodeScalars.last, last == "." || last == " " else { return nil }
        return takes("x\(last)") ? nil : last
    }

    /// The sentence for the person: which name, what is wrong with it, what to do.
    func sentence(_ name: String, place: String, failure: SystemFailure) -> String {
        let place = DisplayName.escape(place)
        let why =
            switch self {
            case .character(let scalar): "takes no name with \"\(DisplayName.escape(String(scalar)))\" in it"
            case .ending(let scalar): "takes no name that ends with \"\(DisplayName.escape(String(scalar)))\""
            case .length: "takes no name of \(name.utf8.count) bytes"
            case .name: "takes files, but not under this name (\(failure))"
            }
        return "cannot make \"\(DisplayName.escape(name))\": the file system of \"\(place)\" \(why); "
            + "ask for the file under another name, or name another folder with --output"
    }

    /// No file system refuses these.
    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
    }
}
