// Owns the count of what a run met of splicing, as the simulated kernel saw it: a suite of seeds in which some of this
// never happens would prove nothing about it.

struct SplicingCoverage {
    /// Bytes that went into a pipe.
    var bytes = 0
    /// Flows that changed from copying to splicing, and back.
    var toSplicing = 0
    var toCopying = 0
    /// Of the latter, those whose last bytes had to wait in the pipe.
    var toCopyingAfterFullSink = 0
    /// Changes of a worker's policy while bytes were in pipes.
    var policyChangesWithBytesInPipe = 0
    /// All pipes were in use, or there was none.
    var exhaustions = 0
    /// A pipe could not be had although there was one.
    var pipeFailures = 0
    /// Bytes that were there were not moved.
    var refusals = 0
    /// A splice cut short took an error that the next one told.
    var hiddenErrors = 0
    /// Resets while bytes were in the pipe.
    var sourceResets = 0
    var sinkResets = 0
    /// Sessions that inactivity ended while bytes were in a pipe.
    var idleEnds = 0
    /// Flows that were spliced when all sessions were cut, and sessions cut with bytes in a pipe.
    var cutsWhileSpliced = 0
    var cutsWithBytesInPipe = 0

    /// Every count by its name.
    var counts: [(name: String, count: Int)] {
        [
            ("bytes spliced", bytes),
            ("changes to splicing", toSplicing),
            ("changes to copying", toCopying),
            ("changes to copying after the sink was full", toCopyingAfterFullSink),
            ("changes of policy with bytes in a pipe", policyChangesWithBytesInPipe),
            ("pipes exhausted", exhaustions),
            ("pipes not to be had", pipeFailures),
            ("bytes not moved", refusals),
            ("errors hidden by a splice cut short", hiddenErrors),
            ("resets of a source with bytes in the pipe", sourceResets),
            ("resets of a sink with bytes in the pipe", sinkResets),
            ("idle ends with bytes in the pipe", idleEnds),
            ("flows cut while spliced", cutsWhileSpliced),
            ("sessions cut with bytes in a pipe", cutsWithBytesInPipe),
        ]
    }
}
