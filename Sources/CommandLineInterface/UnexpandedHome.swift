// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A path that begins with `~`: only a shell makes a home of that, and only at the beginning of a word, so not in `--output=~/x`, in a
/// variable that was quoted, or in a configuration file.
package enum UnexpandedHome {
    /// What to say about `path`, which `name` gave; nil when it begins otherwise, or is really there.
    package static func mistake(_ path: String, of name: String) -> String? {
        guard path == "~" || path.hasPrefix("~/"), unsafe access(path, F_OK) != 0 else { return nil }
        return
            "\(name): there is no \"\(path)\" here, and ~ means the home only where a shell reads it, at the beginning of a word: "
            + "write out the home, or $HOME/ in a shell"
    }
}
