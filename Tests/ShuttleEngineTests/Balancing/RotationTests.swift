// Owns the order of weighted round robin: exact over a cycle, smooth within it, bounded in length.

import Testing

@testable import ShuttleEngine

@Suite struct RotationTests {
    private static func shares(_ weights: [Int]) -> [Rotation.Share] {
        weights.enumerated().map { Rotation.Share(backend: UInt32($0), weight: $1) }
    }

    static let weights: [[Int]] = [
        [1], [1, 1], [5, 1, 1], [2, 1], [7, 3], [1, 2, 3, 4, 5], [256, 1], [256, 255, 254], [10, 10, 10, 1],
        Array(repeating: 1, count: 50), Array(1...20), [1, 256, 1, 256, 1],
    ]

    @Test(arguments: weights)
    func exactOverACycle(weights: [Int]) {
        let reduced = Rotation.reduced(RotationTests.shares(weights))
        let order = Rotation.order(reduced)
        #expect(order.count == reduced.reduce(0) { $0 + $1.weight })
        for share in reduced { #expect(order.count { $0 == share.backend } == share.weight) }
    }

    /// After every turn each backend has had its part of the turns so far, give or take one.
    @Test(arguments: weights)
    func smoothInEveryPrefix(weights: [Int]) {
        let order = Rotation.order(RotationTests.shares(weights))
        let total = weights.reduce(0, +)
        #expect(order.count == total)
        var had = Array(repeating: 0, count: weights.count)
        for (turn, backend) in order.enumerated() {
            had[Int(backend)] += 1
            for (index, weight) in weights.enumerated() {
                let ideal = Double(turn + 1) * Double(weight) / Double(total)
                #expect(abs(Double(had[index]) - ideal) < 1.5, "backend \(index) after \(turn + 1) turns of \(weights)")
            }
        }
    }

    /// No bursts: at most two turns in a row for a backend that has no more than half of them.
    @Test func noBursts() {
        for weights in [[5, 1, 1, 4], [3, 3], [2, 1, 1], [8, 5, 3], [256, 100, 156]] {
            let order = Rotation.order(RotationTests.shares(weights))
            for index in order.indices.dropFirst(2) where weights[Int(order[index])] * 2 <= order.count {
                #expect(Set(order[index - 2...index]).count > 1, "\(weights), turn \(index)")
            }
        }
    }

    /// Equal weights take turns in the order of the list.
    @Test func tiesGoToTheFirst() {
        #expect(Rotation.order(RotationTests.shares([1, 1, 1])) == [0, 1, 2])
        #expect(Rotation.order(RotationTests.shares([2, 2])) == [0, 1, 0, 1])
        #expect(Rotation.order(RotationTests.shares([1, 2])) == [1, 0, 1])
    }

    @Test func reducedByTheGreatestCommonDivisor() {
        #expect(Rotation.reduced(RotationTests.shares([10, 20, 30])).map(\.weight) == [1, 2, 3])
        #expect(Rotation.reduced(RotationTests.shares([256, 256])).map(\.weight) == [1, 1])
        #expect(Rotation.reduced(RotationTests.shares([3, 7])).map(\.weight) == [3, 7])
        #expect(Rotation.reduced([]).isEmpty)
    }

    /// 4,096 backends of different weights: the cycle is cut to its bound and everybody keeps a turn, in proportion.
    @Test func boundedLength() {
        let weights = (0..<4096).map { 1 + $0 % 256 }
        let reduced = Rotation.reduced(RotationTests.shares(weights))
        let total = reduced.reduce(0) { $0 + $1.weight }
        #expect(total <= Rotation.lengthMax && total > Rotation.lengthMax / 2)
        #expect(reduced.count == 4096 && reduced.allSatisfy { $0.weight >= 1 })
        for (left, right) in zip(reduced, reduced.dropFirst()) where weights[Int(left.backend)] < 256 {
            #expect(left.weight <= right.weight, "larger weights do not get less")
        }
        let rotation = Rotation(RotationTests.shares(weights))
        #expect(rotation.sequence.count == total)
    }

    @Test func weightZeroIsLeftOut() {
        let rotation = Rotation(RotationTests.shares([0, 3, 0, 1]))
        #expect(Set(rotation.sequence) == [1, 3])
        #expect(rotation.sequence.count == 4)
        #expect(Rotation(RotationTests.shares([0, 0])).sequence.isEmpty)
        #expect(Rotation([]).sequence.isEmpty)
    }

    /// Indices are those of the list, also where some of it is missing.
    @Test func keepsTheBackendsPlaces() {
        let rotation = Rotation([.init(backend: 7, weight: 1), .init(backend: 2, weight: 1)])
        #expect(Array(rotation.sequence) == [7, 2])
    }
}
