// SPDX-License-Identifier: Apache-2.0

/// What can be said of keys and signatures without calculating with them. The holder of a key of low order has signed
/// everything: a library that verifies signatures does not check that. And a key with two encodings is two users to one
/// reader and one user to the next.
enum Ed25519Rules {
    /// 2²⁵⁵ − 19, the order of the field.
    private static let field = little("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")
    /// 2²⁵² + 27742317777372353535851937790883648493, the order of the group (RFC 8032, section 5.1).
    private static let order = little("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")

    /// y of the points of Ed25519 whose order divides 8; each stands for the two that differ in the sign of x. What
    /// comes behind 2²⁵⁵ − 19 is not canonical, and so is a sign of x = 0, which only the first two have.
    private static let lowPoints: [[UInt8]] = [
        little("0000000000000000000000000000000000000000000000000000000000000001"),
        little("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec"),
        little("0000000000000000000000000000000000000000000000000000000000000000"),
        little("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
        little("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
    ]

    /// Whether `bytes` are a point of Ed25519 as RFC 8032 writes it, and not one of low order. Whether it is on the
    /// curve at all is for those to find out who calculate with it.
    static func isPoint(_ bytes: some Collection<UInt8>) -> Bool {
        var y = Array(bytes)
        // The sign of x.
        if let last = y.popLast() { y.append(last & 0x7F) }
        return isBelow(y, field) && !lowPoints.contains(y)
    }

    /// Whether `bytes` are a number below the group's order.
    static func isScalar(_ bytes: some Collection<UInt8>) -> Bool { isBelow(Array(bytes), order) }

    /// Compares numbers of one length, the last byte being the most significant. Nothing here is secret.
    private static func isBelow(_ number: [UInt8], _ bound: [UInt8]) -> Bool {
        number.count == bound.count && number.reversed().lexicographicallyPrecedes(bound.reversed())
    }

    /// The bytes of a number of 64 hexadecimal digits, the least significant first.
    private static func little(_ digits: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = digits[...]
        while let byte = UInt8(rest.suffix(2), radix: 16) {
            bytes.append(byte)
            rest.removeLast(2)
        }
        return bytes
    }
}
