// Owns the ways in which a run's workers go between copying and splicing: policies, and whether they change on the way.

@testable import ShuttleEngine

extension SplicePolicy {
    /// Whatever has been sent once is bulk, and stays so.
    static let atOnce = SplicePolicy(
        isEnabled: true,
        windowBytes: 0,
        bytesPerSendToSplice: 0,
        windowSteps: .max,
        bytesPerStepToCopy: 0,
        bytesToStepAgain: 1
    )
    /// Copies again after every step.
    static let backAtOnce = SplicePolicy(
        isEnabled: true,
        windowBytes: .max,
        bytesPerSendToSplice: .max,
        windowSteps: 1,
        bytesPerStepToCopy: .max,
        bytesToStepAgain: 1
    )
    /// Changes with every send and every step.
    static let toAndFro = SplicePolicy(
        isEnabled: true,
        windowBytes: 0,
        bytesPerSendToSplice: 0,
        windowSteps: 1,
        bytesPerStepToCopy: .max,
        bytesToStepAgain: 1
    )

    /// Thresholds in the range of what seeded streams send.
    static func drawn(_ random: SeededRandom) -> SplicePolicy {
        SplicePolicy(
            isEnabled: true,
            windowBytes: UInt32(random.pick([0, 1, 100, 1000])),
            bytesPerSendToSplice: UInt32(random.pick([0, 1, 30, 300])),
            windowSteps: UInt16(random.pick([0, 1, 2, 16])),
            bytesPerStepToCopy: UInt32(random.pick([0, 2, 30, 300])),
            bytesToStepAgain: UInt32(random.pick([1, 100, 1000]))
        )
    }
}

/// What the workers of a run start with, and change to at random moments.
enum SplicingHabit: CaseIterable {
    case never
    case atOnce
    case flipping

    var policies: [SplicePolicy] {
        switch self {
        case .never: [.never]
        case .atOnce: [.atOnce]
        case .flipping: [.atOnce, .backAtOnce, .toAndFro, .never]
        }
    }
}
