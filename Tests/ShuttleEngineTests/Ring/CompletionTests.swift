// Owns the 64 bits of a tag and the fields of a completion.

import Testing

@testable import ShuttleEngine

@Suite struct CompletionTests {
    @Test func tagsKeepWhatTheyAreGiven() {
        let kinds: [OperationKind] = [
            .accept, .connect, .receiveDownstream, .receiveUpstream, .sendDownstream, .sendUpstream,
            .readinessDownstream, .readinessUpstream, .cancel, .close, .wake,
        ]
        var seen: Set<UInt64> = []
        for kind in kinds {
            for slot in [UInt32(0), 1, 0xabcdef, UInt32(OperationTag.slotsMax - 1)] {
                for generation in [UInt32(0), 1, 0x8000_0000, .max] {
                    let tag = OperationTag(kind, slot: slot, generation: generation)
                    #expect(tag.kind == kind && tag.slot == slot && tag.generation == generation)
                    #expect(OperationTag(rawValue: tag.rawValue) == tag)
                    #expect(seen.insert(tag.rawValue).inserted, "no two are the same")
                }
            }
        }
    }

    @Test func unknownKindsAreNone() {
        #expect(OperationTag(rawValue: 0).kind == nil)
        #expect(OperationTag(rawValue: .max).kind == nil)
        #expect(OperationTag.wake.kind == .wake && OperationTag.cancel.kind == .cancel)
    }

    @Test func kindsFollowTheSide() {
        #expect(OperationKind.receive(.downstream) == .receiveDownstream)
        #expect(OperationKind.receive(.upstream) == .receiveUpstream)
        #expect(OperationKind.send(.downstream) == .sendDownstream)
        #expect(OperationKind.send(.upstream) == .sendUpstream)
        #expect(OperationKind.readiness(.downstream) == .readinessDownstream)
        #expect(OperationKind.readiness(.upstream) == .readinessUpstream)
        #expect(Side.downstream.other == .upstream && Side.upstream.other == .downstream)
    }

    /// As the kernel writes them: bit 0 says that there is a buffer, bit 1 that more comes, the buffer is in the upper
    /// half. Other bits, such as "more data waits", say nothing here.
    @Test func flagsOfTheKernel() {
        let tag = OperationTag(.receiveUpstream, slot: 1, generation: 2)
        let full = Completion(tag: tag, result: 4096, flags: 0xbeef_0003)
        #expect(full.hasMore && full.buffer == 0xbeef && full.result == 4096 && full.tag == tag)
        let last = Completion(tag: tag, result: 10, flags: 0x0007_0001)
        #expect(!last.hasMore && last.buffer == 7)
        let end = Completion(tag: tag, result: 0, flags: 1 << 2)
        #expect(!end.hasMore && end.buffer == nil)
        #expect(Completion(tag: tag, result: 1, flags: 0x0000_0001).buffer == 0, "buffer 0 is one")
    }

    @Test func completionsOfTheSimulationAreTheSame() {
        let tag = OperationTag(.accept, slot: 3, generation: 4)
        for buffer in [nil, 0, 9, BufferID.max] as [BufferID?] {
            for hasMore in [true, false] {
                let completion = Completion(tag: tag, result: -5, buffer: buffer, hasMore: hasMore)
                #expect(completion.buffer == buffer && completion.hasMore == hasMore && completion.result == -5)
            }
        }
    }
}
