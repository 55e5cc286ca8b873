// What the choice goes by while backends ramp: exact proportions in whole numbers, and somebody who takes every client.

import Testing

@testable import ShuttleEngine

@Suite struct EffectiveWeightTests {
    private typealias Backend = EffectiveWeight.Backend
    private static let full = SlowStart.steps

    @Test func withoutARampTheyAreAsConfigured() {
        let backends = [0, 1, 7, 256].map { Backend(weight: $0) }
        #expect(EffectiveWeight.all(of: backends) == [0, 1, 7, 256].map { EffectiveWeight(weight: $0) })
        #expect(EffectiveWeight.all(of: []).isEmpty)
    }

    @Test func aPartOfWeightOneCanBeSaid() {
        let weights = EffectiveWeight.all(of: [Backend(weight: 1), Backend(weight: 1, share: 1), Backend(weight: 3)])
        #expect(weights.map(\.weight) == [20, 1, 60])
        #expect(weights.map(\.hashLimit) == [.max, .max / 20, .max])
    }

    /// Of their own kind: nothing changes for the others, so that their turns go on undisturbed.
    @Test func backupsAreApart() {
        let backup = Backend(weight: 2, share: 5, isBackup: true)
        let weights = EffectiveWeight.all(of: [Backend(weight: 1), backup, Backend(weight: 2, isBackup: true)])
        #expect(weights.map(\.weight) == [1, 10, 40])
    }

    /// Every service of up to three backends with weights, shares, kinds and health of a few values.
    @Test func everySmallService() {
        var kinds: [Backend] = []
        for weight in [0, 1, 2, 256] {
            for share in [1, 7, Self.full] {
                for flags in 0..<4 {
                    kinds.append(
                        Backend(weight: weight, share: share, isBackup: flags & 1 > 0, isUp: flags & 2 > 0))
                }
            }
        }
        for first in kinds.indices {
            check([kinds[first]])
            for second in kinds[first...].indices {
                check([kinds[first], kinds[second]])
                for third in kinds[second...] { check([kinds[first], kinds[second], third]) }
            }
        }
    }

    private func check(_ backends: [Backend]) {
        let effective = EffectiveWeight.all(of: backends)
        var isFine = effective.count == backends.count
        for (backend, weight) in zip(backends, effective) {
            // Nobody comes to nothing, and nothing to somebody.
            isFine = isFine && (weight.weight > 0) == (backend.weight > 0) && weight.hashLimit > 0
            isFine = isFine && weight.weight <= 256 * Self.full
        }
        for (one, oneWeight) in zip(backends, effective) {
            for (other, otherWeight) in zip(backends, effective)
            where one.isBackup == other.isBackup && one.weight > 0 && other.weight > 0 {
                let (left, right) = (one.weight * one.share, other.weight * other.share)
                isFine = isFine && oneWeight.weight * right == otherWeight.weight * left
                if one.share <= other.share { isFine = isFine && oneWeight.hashLimit <= otherWeight.hashLimit }
            }
        }
        for areBackups in [false, true] {
            let usable = backends.indices.filter {
                backends[$0].isBackup == areBackups && backends[$0].weight > 0 && backends[$0].isUp
            }
            // A lone one takes everybody, and among several there is always one that does.
            isFine = isFine && (usable.isEmpty || usable.contains { effective[$0].hashLimit == .max })
        }
        if !isFine { Issue.record("\(backends): \(effective)") }
    }
}
