// One at a time, in order of arrival.

import Testing

@testable import shuttled

@Suite struct TurnstileTests {
    /// Confined to one actor, as its owner is.
    private actor Owner {
        let turnstile = Turnstile()
        var order: [Int] = []
        var inside = 0

        func pass(_ number: Int) async {
            await turnstile.enter()
            inside += 1
            precondition(inside == 1, "two at once")
            order.append(number)
            await Task.yield()
            inside -= 1
            turnstile.leave()
        }

        func hold() async { await turnstile.enter() }
        func release() { turnstile.leave() }
        var waiting: Int { turnstile.waitingCount }
    }

    @Test func firstComeFirstServed() async throws {
        let owner = Owner()
        await owner.hold()
        var passes: [Task<Void, Never>] = []
        for number in 0..<50 {
            passes.append(Task { await owner.pass(number) })
            try await ControlTesting.eventually("number \(number) waits") { await owner.waiting == number + 1 }
        }
        await owner.release()
        for pass in passes {
            await pass.value
        }
        #expect(await owner.order == Array(0..<50))
        await owner.pass(50)
        #expect(await owner.order.last == 50, "it is free again")
    }
}
