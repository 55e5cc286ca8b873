// Owns the judgement of what is bulk and what is chatty, at and around its thresholds.

import Testing

@testable import ShuttleEngine

@Suite struct SplicePolicyTests {
    private static let policy = SplicePolicy(
        isEnabled: true,
        windowBytes: 1000,
        bytesPerSendToSplice: 100,
        windowSteps: 4,
        bytesPerStepToCopy: 50,
        bytesToStepAgain: 10
    )

    @Test func isJudgedWhenTheWindowIsFull() {
        var meter = FlowMeter()
        let judgements = [999, 1, 1000, 5000].map { meter.sent($0, SplicePolicyTests.policy) }
        #expect(judgements == [false, true, true, true])
        #expect(meter == FlowMeter(), "a judgement begins a new window")
    }

    @Test func bulkIsTheAverageOfAWindow() {
        // 10 sends of 100 are just bulk; 11 that fill the window are not, and the next window is judged by itself.
        var meter = FlowMeter()
        let tens = (0..<10).map { _ in meter.sent(100, SplicePolicyTests.policy) }
        #expect(tens == Array(repeating: false, count: 9) + [true])
        let elevens = (0..<11).map { _ in meter.sent(91, SplicePolicyTests.policy) }
        #expect(elevens == Array(repeating: false, count: 11))
        #expect(meter == FlowMeter())
        let next = meter.sent(1000, SplicePolicyTests.policy)
        #expect(next)
    }

    @Test func chattyIsTheAverageOfSoManySteps() {
        var meter = FlowMeter()
        let enough = [200, 0, 0, 0].map { meter.spliced($0, SplicePolicyTests.policy) }
        #expect(enough == [false, false, false, false], "50 on average are enough")
        #expect(meter == FlowMeter())
        let little = [199, 0, 0, 0].map { meter.spliced($0, SplicePolicyTests.policy) }
        #expect(little == [false, false, false, true])
    }

    /// What the standard thresholds promise of streams of equal pieces.
    @Test func standardThresholds() {
        let policy = SplicePolicy.standard
        for size in [1, 1000, 16_384, 32_767, 32_768, 65_536, 262_144, 2_000_000] {
            var meter = FlowMeter()
            let sends = (1...20_000).first { _ in meter.sent(size, policy) }
            let isBulk = size >= Int(policy.bytesPerSendToSplice)
            #expect(sends == (isBulk ? (Int(policy.windowBytes) + size - 1) / size : nil), "\(size)")
        }
        for size in [1, 4096, 12_287, 12_288, 524_288] {
            var meter = FlowMeter()
            let steps = (1...100).first { _ in meter.spliced(size, policy) }
            #expect(steps == (size < Int(policy.bytesPerStepToCopy) ? Int(policy.windowSteps) : nil), "\(size)")
        }
        // Between the two a flow stays as it is, or it would change to and fro.
        #expect(policy.bytesPerStepToCopy < policy.bytesPerSendToSplice)
        // A window is full before the count of its operations saturates at small sends.
        #expect(policy.windowBytes / UInt32(UInt16.max) < policy.bytesPerSendToSplice)
        // Or a step would never be followed by another.
        #expect(Int(policy.bytesToStepAgain) <= 512 << 10)
    }

    /// Sums and counts end at their greatest value; they do not begin anew.
    @Test func nothingOverflows() {
        var policy = SplicePolicyTests.policy
        policy.windowBytes = .max
        var meter = FlowMeter()
        let sums = [Int(UInt32.max) - 1, Int(UInt32.max)].map { meter.sent($0, policy) }
        #expect(sums == [false, true], "the sum is past what it can hold, and full")
        policy.windowSteps = .max
        var steps = 0
        repeat { steps += 1 } while !meter.spliced(1, policy) && steps < 100_000
        #expect(steps == Int(UInt16.max))
        // More operations than can be counted, of more bytes than can be counted.
        policy.windowBytes = .max
        for _ in 0..<70_000 { _ = meter.sent(1, policy) }
        let isBulk = meter.sent(Int(UInt32.max), policy)
        #expect(isBulk, "the average is above the threshold")
    }

    @Test func neverIsNever() {
        var flow = Flow()
        var meter = FlowMeter()
        let isChatty = (0..<100_000).contains { _ in meter.spliced(0, .never) }
        #expect(!isChatty)
        for _ in 0..<100 {
            flow.received(1 << 24)
            flow.sendSubmitted(1 << 24, .never)
            flow.sendCompleted(1 << 24)
        }
        #expect(!flow.wantsSplicing)
    }

    /// Windows of nothing judge every operation.
    @Test func atOnce() {
        var meter = FlowMeter()
        let judgements = [meter.sent(1, .atOnce), meter.sent(1, .atOnce), meter.spliced(1, .toAndFro)]
        #expect(judgements == [true, true, true])
    }
}
