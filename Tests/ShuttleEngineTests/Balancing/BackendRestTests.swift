// Owns what the rest of a backend means to those who wait and to further tries: what counts as room, who is sent there.

import Testing

@testable import ShuttleEngine

// The macros of tests take no borrowed values.
extension TableFixture {
    fileprivate func beginRest(_ index: Int, now: UInt64) { records[index].pointee.rest.begin(now: now) }
    fileprivate func endRest(_ index: Int) { records[index].pointee.rest.end() }
    fileprivate func isResting(_ index: Int) -> Bool { records[index].pointee.rest.isOn }
    fileprivate func takeTrial(_ index: Int, now: UInt64) -> Bool { records[index].pointee.rest.takeTrial(now: now) }
    fileprivate func rest(_ index: Int, now: UInt64) -> BackendRest.State {
        records[index].pointee.rest.state(now: now)
    }
}

@Suite struct BackendRestTests {
    /// Two backends with two places each.
    private static func fixture(
        _ algorithm: BalanceAlgorithm = .roundRobin,
        queueLimit: Int = 10,
        places: [Int] = [2, 2]
    ) -> TableFixture {
        TableFixture(weights: places.map { _ in 1 }, algorithm, queueLimit: queueLimit) {
            $1.connectionsMax = places[$0]
        }
    }

    @Test func aFailureBeginsARestAndASuccessEndsIt() {
        let fixture = BackendRestTests.fixture()
        #expect(fixture.rest(0, now: 50) == .none && !fixture.isResting(0))
        fixture.beginRest(0, now: 50)
        #expect(fixture.rest(0, now: 149) == .resting(until: 150))
        #expect(fixture.rest(0, now: 150) == .trial && fixture.isResting(0))
        fixture.beginRest(0, now: 160)
        #expect(fixture.rest(0, now: 160) == .resting(until: 260))
        fixture.endRest(0)
        #expect(fixture.rest(0, now: 161) == .none && !fixture.isResting(0))
    }

    @Test func oneAtATimeTriesItAfterItsRest() {
        let fixture = BackendRestTests.fixture()
        #expect(!fixture.takeTrial(0, now: 1000), "it does not rest")
        fixture.beginRest(0, now: 1000)
        #expect(!fixture.takeTrial(0, now: 1099))
        #expect(fixture.takeTrial(0, now: 1100))
        #expect(!fixture.takeTrial(0, now: 1100), "another was faster")
        #expect(fixture.takeTrial(0, now: 1200), "nothing was heard of that one")
    }

    // MARK: Room

    @Test func placesOfABackendThatRestsAreNoRoom() {
        let fixture = BackendRestTests.fixture()
        fixture.beginRest(0, now: 0)
        #expect(fixture.table.hasRoom(beyond: 1, now: 99) && !fixture.table.hasRoom(beyond: 2, now: 99))
        #expect(fixture.table.hasRoom(beyond: 2, now: 100), "one may try it")
        #expect(!fixture.table.hasRoom(beyond: 3, now: 100))
        fixture.endRest(0)
        #expect(fixture.table.hasRoom(beyond: 3, now: 100) && !fixture.table.hasRoom(beyond: 4, now: 100))
    }

    @Test func aBackendWithoutALimitHasOnePlaceForATrial() {
        let fixture = BackendRestTests.fixture(places: [0, 1])
        fixture.beginRest(0, now: 0)
        #expect(fixture.table.hasRoom(beyond: 0, now: 5) && !fixture.table.hasRoom(beyond: 1, now: 5))
        #expect(fixture.table.hasRoom(beyond: 1, now: 100) && !fixture.table.hasRoom(beyond: 2, now: 100))
    }

    @Test func aFullBackendHasNoPlaceForATrial() {
        let fixture = BackendRestTests.fixture(places: [1])
        #expect(fixture.choose() == 0)
        fixture.beginRest(0, now: 0)
        #expect(!fixture.table.hasRoom(beyond: 0, now: 100))
        #expect(fixture.table.chooseForWaiter(for: 0, excluding: TriedBackends(), now: 100) == nil)
        #expect(fixture.takeTrial(0, now: 100), "the trial was left to others")
    }

    @Test func theFirstRestToEndIsTheNextTimeToLook() {
        let fixture = BackendRestTests.fixture(places: [1, 1, 1])
        #expect(fixture.table.firstRestEnd(now: 0) == nil)
        fixture.beginRest(2, now: 10)
        fixture.beginRest(0, now: 20)
        #expect(fixture.table.firstRestEnd(now: 20) == 110)
        #expect(fixture.table.firstRestEnd(now: 110) == 120, "that one may be tried now")
        fixture.setUp(0, false)
        #expect(fixture.table.firstRestEnd(now: 110) == nil, "whoever is taken out is nobody's next chance")
    }

    // MARK: Who is sent there

    /// Whatever room says, choosing finds; and the other way round: else whoever is called would be called for ever.
    @Test(arguments: BalanceAlgorithm.allCases)
    func whoeverIsCalledFindsWhatThereIsRoomFor(algorithm: BalanceAlgorithm) {
        var random = SeededGenerator(7)
        for _ in 0..<2000 {
            let count = Int.random(in: 1...4, using: &random)
            let fixture = TableFixture(weights: Array(repeating: 1, count: count), algorithm, queueLimit: 10) {
                $1.connectionsMax = Int.random(in: 0...2, using: &random)
                $1.isBackup = $0 > 0 && Int.random(in: 0..<4, using: &random) == 0
            }
            for index in 0..<count {
                if Int.random(in: 0..<2, using: &random) == 0 {
                    fixture.beginRest(index, now: .random(in: 1...200, using: &random))
                }
                fixture.setUp(index, Int.random(in: 0..<5, using: &random) > 0)
            }
            var now: UInt64 = 150
            for _ in 0..<12 {
                let hadRoom = fixture.table.hasRoom(beyond: 0, now: now)
                let chosen = fixture.table.chooseForWaiter(for: random.next(), excluding: TriedBackends(), now: now)
                #expect((chosen != nil) == hadRoom)
                if Int.random(in: 0..<3, using: &random) == 0 { now += 60 }
            }
        }
    }

    @Test(arguments: BalanceAlgorithm.allCases)
    func whoWaitsIsSentWhereNobodyWasRefused(algorithm: BalanceAlgorithm) {
        let fixture = BackendRestTests.fixture(algorithm)
        fixture.beginRest(0, now: 0)
        for draw in [0, UInt64.max / 3, UInt64.max] {
            let chosen = fixture.table.chooseForWaiter(for: draw, excluding: TriedBackends(), now: 100)
            // Two places at the other; then the trial.
            #expect(chosen == fixture.records[draw == .max ? 0 : 1])
        }
        #expect(fixture.table.chooseForWaiter(for: 0, excluding: TriedBackends(), now: 100) == nil)
    }

    @Test(arguments: BalanceAlgorithm.allCases)
    func aFurtherTryAvoidsWhatRests(algorithm: BalanceAlgorithm) {
        let fixture = BackendRestTests.fixture(algorithm, queueLimit: 0, places: [0, 0, 0])
        for index in 0..<2 { fixture.beginRest(index, now: 0) }
        let table = fixture.table
        #expect(table.chooseAnother(for: 0, excluding: fixture.tried(0), now: 5) == .reserved(fixture.records[2]))
        // Where nobody can wait, one that rests is better than none.
        #expect(table.chooseAnother(for: 0, excluding: fixture.tried(0, 2), now: 5) == .reserved(fixture.records[1]))
        #expect(table.chooseAnother(for: 0, excluding: fixture.tried(0, 1, 2), now: 5) == .unusable)
    }

    @Test(arguments: BalanceAlgorithm.allCases)
    func aFurtherTryWaitsWhereItCan(algorithm: BalanceAlgorithm) {
        let fixture = BackendRestTests.fixture(algorithm)
        for index in 0..<2 { fixture.beginRest(index, now: 0) }
        #expect(fixture.table.chooseAnother(for: 0, excluding: fixture.tried(0), now: 5) == .full)
        #expect(fixture.table.chooseAnother(for: 0, excluding: fixture.tried(0, 1), now: 5) == .unusable)
        #expect(fixture.active == [0, 0])
    }
}
