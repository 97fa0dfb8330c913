// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

extension SystemError {
    /// The system's words for it, with a small first letter so that they fit inside a message.
    var phrase: String {
        switch code {
        case ENOENT: "no such file or directory"
        case EACCES: "permission denied"
        case EPERM: "operation not permitted"
        case EROFS: "the file system is read-only"
        case ELOOP: "a symbolic link stands where none is followed, or too many are"
        case ENAMETOOLONG: "the name is too long"
        default: description.lowercased()
        }
    }

    /// Whether the disk, or this user's share of it, is full.
    var isFull: Bool { code == ENOSPC || code == EDQUOT }

    /// Whether a file system, or a sandbox, knows or allows no such call, which says nothing about the data.
    var isUnsupported: Bool {
        switch code {
        case EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY, EPERM, EACCES, EROFS: true
        default: false
        }
    }
}
