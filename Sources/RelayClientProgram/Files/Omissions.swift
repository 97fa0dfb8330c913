// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Tells the person what is left out because it is no file and no folder: the first few of a kind by name, and then how
/// many more there were.
final class Omissions {
    private let remark: (String) -> Void
    private var links = 0
    private var others = 0

    init(_ remark: @escaping (String) -> Void) { self.remark = remark }

    /// - Parameter type: what kind of file it is, as `st_mode` says.
    func add(_ path: String, _ type: mode_t) {
        let shown = "\"\(DisplayName.path(path))\""
        if type == S_IFLNK {
            links += 1
            if links <= Defaults.namedOmissions {
                remark("\(shown) is left out: it is a link, and those need --preserve")
            }
        } else {
            others += 1
            if others <= Defaults.namedOmissions { remark("\(shown) is left out: it is \(Self.word(type))") }
        }
    }

    /// Nothing else is left out.
    func finish() {
        let more = (links: links - Defaults.namedOmissions, others: others - Defaults.namedOmissions)
        if more.links > 0 { remark("links left out besides these: \(more.links)") }
        if more.others > 0 { remark("devices, named pipes and sockets left out besides these: \(more.others)") }
    }

    private static func word(_ type: mode_t) -> String {
        switch type {
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        case S_IFBLK, S_IFCHR: "a device"
        default: "neither a file nor a folder"
        }
    }
}
