// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Makes a file with a cluster's secret; returns its path.
func secretFile(_ directory: TemporaryDirectory, _ digit: String = "a", name: String = "secret") throws
    -> String
{
    let path = try directory.write(Data((String(repeating: digit, count: 64) + "\n").utf8), to: name)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    return path
}
