// SPDX-License-Identifier: Apache-2.0

/// The keys that say which message an object is and which request it belongs to.
enum TypeKey: String, CodingKey {
    case type, id
}
