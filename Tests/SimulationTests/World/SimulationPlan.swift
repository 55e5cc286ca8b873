// Owns what a run consists of: how large the machine is, what it serves, who comes, what changes, how it ends.

@testable import ShuttleEngine

struct SimulationPlan {
    var name = "simulation"
    var rings: [RingSettings] = [RingSettings()]
    var network = NetworkSettings()
    /// Slots each worker has, and sessions it may hold at a time.
    var slots = 64
    var sessionCapacity = 64
    var services: [ServicePlan] = []
    /// Clients by the time of their arrival, which grows.
    var arrivals: [Arrival] = []
    /// What backends do with connections.
    var backendScript: (SeededRandom, _ port: UInt16) -> PeerScript = { _, _ in PeerScript() }
    var fateOfConnect: (SeededRandom, _ port: UInt16) -> (ConnectFate, delay: Int) = { _, _ in (.accept, 0) }
    /// Changes at their times, which grow.
    var changes: [Change] = []
    /// Ends all sessions at this time after the last arrival; nil lets them end by themselves.
    var cutAfter: Int?
    /// Nobody fails, resets or times out: every stream must arrive whole.
    var isCalm = false
    /// No backend goes up or down and no connect fails: turns are exact.
    var hasExactTurns = false
    /// Virtual milliseconds in which everything must have ended.
    var endsWithin = 3_600_000
    var stepsMax = 200_000
    /// A worker begins with the first and changes to any of them at random moments.
    var splicePolicies = [SplicePolicy.never]
    var mutant: Mutant?
    /// Somebody looks through the sessions and ends some; nil for nobody.
    var operatorPlan: OperatorPlan?

    struct Arrival {
        var at: Int
        var port: UInt16
        var script: PeerScript
        /// Clients of the same number have the same address; nil is one of a few.
        var client: Int?
    }

    struct Change {
        var at: Int
        var action: (SimulatedControl, SeededRandom) -> Void
        /// Waits until the change before it is complete.
        var needsSettled = true
    }
}
