import Testing

@testable import ShuttleEngine

/// Where a snapshot's places have changed, against looking at all of them.
struct PlaceChangesTests {
    /// What is published, one after the other, as the control thread keeps it.
    private final class World {
        private(set) var epoch: UInt64 = 0
        private(set) var published: [(places: UnsafeBufferPointer<Int>, changes: PlaceChanges)] = []

        func publish(_ values: [Int]) {
            epoch += 1
            let places = UnsafeMutableBufferPointer<Int>.allocate(capacity: values.count)
            _ = places.initialize(from: values)
            let view = UnsafeBufferPointer(places)
            published.append((view, PlaceChanges(of: view, epoch: epoch, since: published.last)))
        }

        deinit {
            for (places, changes) in published {
                places.deallocate()
                changes.deallocate()
            }
        }
    }

    /// Takes up the newest as a worker does.
    private struct Follower {
        private var epoch: UInt64 = 0
        private(set) var state: [Int] = []

        /// Returns how many places it had to look at.
        mutating func follow(_ world: World) -> Int {
            guard let (places, changes) = world.published.last else { return 0 }
            state += Array(repeating: -1, count: max(0, places.count - state.count))
            var looks = 0
            for block in changes.blocks where changes.hasChanged(block, since: epoch) {
                for place in changes.range(of: block) {
                    state[place] = places[place]
                    looks += 1
                }
            }
            epoch = world.epoch
            return looks
        }
    }

    @Test func aChangeIsOneBlockHoweverManyPlacesThereAre() {
        for count in [1, 64, 65, 5000, 50_000] {
            let world = World()
            var values = Array(0..<count)
            var follower = Follower()
            world.publish(values)
            let first = follower.follow(world)
            #expect(first == count)
            world.publish(values)
            let none = follower.follow(world)
            #expect(none == 0, "nothing has changed")
            values[count - 1] = -7
            world.publish(values)
            let few = follower.follow(world)
            #expect((1...PlaceChanges.blockSize).contains(few))
            #expect(follower.state == values)
        }
    }

    /// Also what went there and back, what was added, and snapshots that a worker never saw.
    @Test(arguments: [1, 2, 3]) func whoMissesSomeKnowsAll(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let world = World()
        var values = [0, 1, 2]
        var workers = Array(repeating: Follower(), count: 3)
        for _ in 0..<2000 {
            for _ in 0..<random.next() % 4 {
                values[Int(random.next(through: UInt64(values.count - 1)))] = Int(random.next() % 3)
            }
            if random.next() % 8 == 0 { values += Array(repeating: 9, count: Int(random.next() % 5)) }
            world.publish(values)
            for index in workers.indices where random.next() % UInt64(index * 4 + 1) == 0 {
                _ = workers[index].follow(world)
                #expect(workers[index].state == values)
            }
        }
        #expect(values.count > 4 * PlaceChanges.blockSize)
    }
}
