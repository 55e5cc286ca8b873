// Rise and fall: every sequence of checks up to a length, against a model that looks at the whole history.

import Testing

@testable import shuttled

@Suite struct HealthTrackerTests {
    /// The definition, told by the history: the last transition is undone by so many checks in a row against it.
    private struct Model {
        var isUp = true
        private var history: [Bool] = []

        mutating func record(_ succeeded: Bool, fall: Int, rise: Int) -> HealthTracker.Transition? {
            history.append(succeeded)
            let needed = isUp ? fall : rise
            guard history.count >= needed, history.suffix(needed).allSatisfy({ $0 != isUp }) else {
                return nil
            }
            isUp.toggle()
            history.removeAll()
            return isUp ? .wentUp : .wentDown
        }
    }

    @Test(arguments: 1...4, 1...4)
    func everySequence(_ fall: Int, _ rise: Int) {
        let length = 10
        for sequence in 0..<(1 << length) {
            var tracker = HealthTracker()
            var model = Model()
            for index in 0..<length {
                let succeeded = sequence >> index & 1 == 1
                let transition = tracker.record(succeeded: succeeded, fall: fall, rise: rise)
                guard transition == model.record(succeeded, fall: fall, rise: rise), tracker.isUp == model.isUp else {
                    Issue.record("fall \(fall), rise \(rise), sequence \(String(sequence, radix: 2)), check \(index)")
                    return
                }
            }
        }
    }

    @Test func aNewBackendIsUp() {
        #expect(HealthTracker().isUp)
    }

    @Test func limitsMayChangeBetweenChecks() {
        var tracker = HealthTracker()
        for _ in 0..<5 {
            #expect(tracker.record(succeeded: false, fall: 10, rise: 2) == nil)
        }
        #expect(tracker.record(succeeded: false, fall: 3, rise: 2) == .wentDown, "what has been counted counts")
        #expect(tracker.record(succeeded: true, fall: 3, rise: 1) == .wentUp)
    }
}
