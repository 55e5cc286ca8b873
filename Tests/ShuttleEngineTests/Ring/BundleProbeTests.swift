// Owns that the trial of bundled receives accepts a kernel that keeps the order, and refuses one that does not.

import Testing

@testable import ShuttleEngine

@Suite struct BundleProbeTests {
    /// Whether this kernel offers bundles that are right is what the engine goes by; the trial must say the same again.
    @Test func saysTheSameAgain() throws {
        let capabilities = try RingProbe.capabilities()
        guard capabilities.hasBundles else { return }
        #expect(BundleProbe.keepsOrder())
    }

    /// A kernel that fills buffers in another order than they were provided in looks like this expectation: two that
    /// follow each other inside one receive are exchanged, or everything is turned round.
    @Test func refusesAnotherOrder() {
        var exchanged = BundleProbe.order
        exchanged.swapAt(1, 2)
        #expect(!BundleProbe.keepsOrder(expected: exchanged))
        #expect(!BundleProbe.keepsOrder(expected: BundleProbe.order.reversed()))
    }

    /// More bytes than there are buffers for are a failure, not a trap.
    @Test func refusesTooFewBuffers() {
        #expect(!BundleProbe.keepsOrder(expected: Array(BundleProbe.order.prefix(4))))
    }
}
