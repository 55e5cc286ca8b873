// Owns the bounds of the admin endpoint: how many may call at once, how slow and how large they may be.
// Leaves to others: enforcing them (ConnectionTable, ConnectionState, RequestBodyReader).

import NIOCore

/// Every bound has its name and its reason here. Tests shorten the times.
struct AdminLimits: Sendable {
    /// Connections at the same time; further ones take the place of one that does nothing useful, or wait.
    var connectionsMax = 64
    /// How many more may wait in the kernel's queue; whoever comes then has to come again.
    var backlog: Int32 = 1024

    /// How long a connection that has not begun a request keeps its place in any case. Clients connect in bursts, and
    /// the last one must not drive out the first before it could speak; silent ones fill every place no longer than this.
    var undisturbedTime: TimeAmount = .milliseconds(50)

    /// From the connection, or on a kept one from the first byte, to the end of the request's header.
    var headTimeout: TimeAmount = .seconds(5)
    /// Longest pause within a request's body.
    var bodyTimeout: TimeAmount = .seconds(10)
    /// Longest pause in taking an answer.
    var answerTimeout: TimeAmount = .seconds(10)
    /// What a body or an answer may take beyond its first pause is its size divided by this: a client that drips one
    /// byte after the other cannot stay.
    var bytesPerSecondMin = 256 * 1024
    /// Longest wait for the next request on a kept connection.
    var idleTimeout: TimeAmount = .seconds(30)
    /// How long input is still taken and dropped after the last answer, so that its reader gets it whole: closing a
    /// socket with unread input resets the connection, which destroys what is under way to the client.
    var lingerTimeout: TimeAmount = .seconds(5)
    /// Input that is dropped in this way at most; a whole configuration that is too large fits.
    var lingerBytesMax = 128 * 1024 * 1024
    /// The same once the server is asked to stop: nobody waits long for a client that does not close its side.
    var stopLingerTimeout: TimeAmount = .milliseconds(250)
    /// How long requests under way may take to finish once the server is asked to stop.
    var stopTimeout: TimeAmount = .seconds(5)
    /// After such a pause in sending a body or taking an answer, a connection has to make room for a new one.
    var stallTimeout: TimeAmount = .seconds(1)
    /// How often to look for a place while all are in use and somebody waits.
    var roomCheckInterval: TimeAmount = .milliseconds(10)
    /// Pause after an accept that failed for want of descriptors or memory: trying at once would spin.
    var acceptRetryInterval: TimeAmount = .milliseconds(100)

    /// Requests at the same time that wait for something to come about: with the others that take long they leave
    /// connections for those that do not.
    var waitersMax = 24
    /// How long a request may wait, and does where it says nothing.
    var waitTimeoutMax: TimeAmount = .hours(1)
    var waitTimeout: TimeAmount = .seconds(60)

    /// Streams of events at the same time.
    var eventStreamsMax = 16
    /// After such a silence a stream shows that it is there: what lies between closes connections that say nothing, often
    /// after 60 s.
    var eventKeepAlive: TimeAmount = .seconds(15)

    /// Of one header field, and of the request line.
    var headerFieldBytesMax = 8 * 1024
    /// Of all of them together.
    var headerBytesMax = 16 * 1024
    var headerFieldsMax = 64
    /// The body of a request about one service or backend.
    var objectBytesMax = 1024 * 1024
    /// The body of a request with a whole configuration.
    var configurationBytesMax = 64 * 1024 * 1024

    /// How long a body or an answer of this size may take in all, with no pause longer than `pause`.
    func duration(of bytes: Int, pause: TimeAmount) -> TimeAmount {
        pause + .nanoseconds(Int64(bytes) * 1_000_000_000 / Int64(bytesPerSecondMin))
    }
}
