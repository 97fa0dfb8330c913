// SPDX-License-Identifier: Apache-2.0

extension ModelScenario {
    /// One that is made of everything that the others are made of: who is where, and what may happen, is drawn.
    static func random(using random: inout ModelRandom) -> ModelScenario {
        let nodes = Array(0..<ModelWorld.count)
        var made = ModelScenario(name: "random")
        made.bobs = (0..<Int.random(in: 1...3, using: &random)).map { _ in nodes.randomElement(using: &random) ?? 0 }
        made.isPull = random.isOne(in: 4)
        made.isOfferFirst = random.isOne(in: 3)
        made.downloads = nodes.filter { _ in !random.isOne(in: 3) }
        made.uploads = nodes.filter { _ in !random.isOne(in: 3) }
        made.successor = [nil, "bob", "carol"].randomElement(using: &random) ?? nil
        let breaksLinks = random.isOne(in: 5)
        let possible = Surprise.allCases.filter { breaksLinks || !Surprise.broken.contains($0) }
        let rarity = Int.random(in: 1...4, using: &random)
        made.surprises = Set(possible.filter { _ in random.isOne(in: rarity) })
        made.budget = Int.random(in: 0...6, using: &random)
        return made
    }
}
