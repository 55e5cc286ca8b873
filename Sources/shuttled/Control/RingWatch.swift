// Owns telling a ring that is stuck from one that has nothing to do: rings are woken at each look, so that each must have made a
// turn by the next. Pure, with counts and time handed in.
// Leaves to others: when to look (ManagerReports), what follows (ControlPlane+Rings).

/// Whether rings make progress.
struct RingWatch: Sendable {
    /// What is new at a look.
    struct Look: Equatable, Sendable {
        /// Rings that were found to be stuck just now, with how long they have made no turn.
        var stalled: [(ring: Int, milliseconds: UInt64)] = []
        /// Rings that go on again, with how long they had not.
        var resumed: [(ring: Int, milliseconds: UInt64)] = []
        /// Whether every ring has made a turn since everything was last found well.
        var isAllWell = false

        static func == (left: Look, right: Look) -> Bool {
            left.stalled.elementsEqual(right.stalled, by: ==) && left.resumed.elementsEqual(right.resumed, by: ==)
                && left.isAllWell == right.isAllWell
        }
    }

    private struct Ring {
        var turns: UInt64?
        var lastProgress: UInt64 = 0
        /// Looks that found nothing since.
        var misses = 0
        var isStalled = false
        var hasProgressed = false
    }

    /// Without a turn for so long a ring is stuck: a turn takes microseconds.
    let limitMilliseconds: UInt64
    /// And through so many looks: when the whole process or machine stood still, the first look comes before the rings' next turn.
    static let missesMin = 2
    private var rings: [Ring]

    init(count: Int, limitMilliseconds: UInt64) {
        self.limitMilliseconds = limitMilliseconds
        rings = Array(repeating: Ring(), count: count)
    }

    var stalledRings: [Int] { rings.indices.filter { rings[$0].isStalled } }

    mutating func look(at turns: [UInt64], milliseconds now: UInt64) -> Look {
        precondition(turns.count == rings.count)
        var look = Look()
        for index in rings.indices {
            if rings[index].turns != turns[index] {
                if rings[index].isStalled {
                    look.resumed.append((index, now - rings[index].lastProgress))
                    rings[index].isStalled = false
                }
                // The first look has nothing to compare with.
                rings[index].hasProgressed = rings[index].turns != nil || rings[index].hasProgressed
                rings[index].turns = turns[index]
                rings[index].lastProgress = now
                rings[index].misses = 0
                continue
            }
            rings[index].misses += 1
            let silence = now - rings[index].lastProgress
            if !rings[index].isStalled, silence >= limitMilliseconds, rings[index].misses >= RingWatch.missesMin {
                rings[index].isStalled = true
                look.stalled.append((index, silence))
            }
        }
        look.isAllWell = rings.allSatisfy { $0.hasProgressed && !$0.isStalled }
        if look.isAllWell {
            for index in rings.indices { rings[index].hasProgressed = false }
        }
        return look
    }
}
