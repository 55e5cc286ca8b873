// Owns `ctl watch`: services and backends with their rates, looked at again and again, on a screen or as plain text.
// Leaves to others: the terminal (TerminalScreen), rates (RateBook), the layout (StatisticsTables).

import ArgumentParser
import Glibc
import NIOConcurrencyHelpers
import NIOCore

struct WatchCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Show what services and backends do, again and again: sessions, rates, state.",
        discussion: """
            On a terminal it takes the screen: q or Ctrl-C ends, the arrows, space and b scroll, d shows only services with \
            something down or unusable, and again all. Elsewhere it prints one table \
            after the other, the first without rates: there is nothing yet to compare with.
            """,
        aliases: ["top"]
    )

    @Argument(help: "SERVICE, or all of them.", completion: PathCompletion.kind)
    var service: String?

    @Option(
        name: .dashes("interval"),
        help: ArgumentHelp("Time between two looks, from 100ms. (default: 1s)", valueName: "time"),
        transform: WrittenDuration.read
    )
    var interval = WrittenDuration(argument: "1s")!

    @Option(name: .dashes("count"), help: ArgumentHelp("End after so many looks.", valueName: "count"))
    var count: Int?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let service, case .backend = try ClientPath.read(service, mayBeConfiguration: false) {
            throw ValidationError("watch is for services; write SERVICE, which shows its backends")
        }
        guard (.milliseconds(100)...(.hours(1))).contains(interval.amount) else {
            throw ValidationError("-interval is \(interval.text); it must be from 100ms to 1h")
        }
        if let count, count < 1 {
            throw ValidationError("-count is \(count); it must be 1 or more")
        }
        if connection.output == .json {
            throw ValidationError("watch is for people; programs compare two answers of: ctl get -output json")
        }
    }

    private var request: ClientRequest { ClientRequest(.GET, service.map { "/\(ClientPath.encoded($0))" } ?? "/") }

    /// One look at everything.
    private func services(
        _ session: ClientSession, _ answer: EventLoopFuture<ClientAnswer>
    ) throws(ClientFailure) -> [ServiceView] {
        let answer = try session.client.finish(answer)
        if let failure = ClientFailure(answer) {
            throw failure
        }
        guard let services = ServiceView.all(in: answer) else {
            throw .notShuttled(session.client.address)
        }
        return services
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        if session.output.isScreen, isatty(STDIN_FILENO) == 1 {
            try watchOnScreen(session)
        } else {
            try watchPlainly(session)
        }
    }

    // MARK: Plain text

    private func watchPlainly(_ session: ClientSession) throws(ClientFailure) {
        var book = RateBook()
        var looks = 0
        while true {
            let start = NIODeadline.now()
            let services = try services(session, session.client.begin(request))
            let rates = book.rates(of: services, at: .now())
            try session.output.line(
                "\(looks > 0 ? "\n" : "")\(WatchView.summary(services, at: session.client.address))")
            try session.output.table(StatisticsTables.rates(services, rates))
            looks += 1
            guard looks != count else {
                return
            }
            let rest = interval.amount - (.now() - start)
            usleep(useconds_t(max(0, rest.nanoseconds / 1000)))
        }
    }

    // MARK: A screen

    private func watchOnScreen(_ session: ClientSession) throws(ClientFailure) {
        var book = RateBook()
        var view = WatchView(address: session.client.address, interval: interval.text)
        var looks = 1
        // The first look comes before the screen: what is wrong is told where it stays to be read, and a signal ends it.
        view.take(try services(session, session.client.begin(request)), &book)
        let screen = try TerminalScreen(session.output)
        try screen.takeOver()
        defer { screen.giveBack() }
        var nextLook = NIODeadline.now() + interval.amount
        var pending: EventLoopFuture<ClientAnswer>?
        while true {
            try screen.show(view.lines(size: session.output.size ?? (80, 24), inColour: session.output.isInColour))
            var isShownAgain = false
            while !isShownAgain {
                if pending == nil, NIODeadline.now() >= nextLook {
                    if let count, looks >= count {
                        return
                    }
                    let future = session.client.begin(request)
                    future.whenComplete { _ in TerminalScreen.wake() }
                    pending = future
                    nextLook = .now() + interval.amount
                }
                let rest = pending == nil ? max(0, (nextLook - .now()).nanoseconds / 1_000_000 + 1) : -1
                for event in try screen.next(milliseconds: Int32(clamping: rest)) {
                    switch event {
                    case .key(.quit), .end(signal: nil): return
                    case .end(signal: let signal?): screen.end(by: signal)
                    case .key(let key): isShownAgain = view.obey(key) || isShownAgain
                    case .resized: isShownAgain = true
                    case .woken:
                        guard let future = pending else { break }
                        pending = nil
                        looks += 1
                        do throws(ClientFailure) {
                            view.take(try services(session, future), &book)
                        } catch {
                            // It may come again; what was seen last stays, with what is wrong above it.
                            view.failure = error.lines.first
                        }
                        isShownAgain = true
                    }
                }
            }
        }
    }
}

/// What watching shows, and how far it is scrolled.
struct WatchView {
    let address: AdminAddress
    let interval: String
    private var services: [ServiceView] = []
    private var rates: [String: Rates] = [:]
    private var offset = 0
    private var isTroubleOnly = false
    /// The lines of the table that were to be seen at last.
    private var page = 1
    /// Why the last look came to nothing.
    var failure: String?

    init(address: AdminAddress, interval: String) {
        self.address = address
        self.interval = interval
    }

    mutating func take(_ services: [ServiceView], _ book: inout RateBook) {
        self.services = services
        rates = book.rates(of: services, at: .now())
        failure = nil
    }

    /// Whether the key has changed what is shown.
    mutating func obey(_ key: ScreenKey) -> Bool {
        switch key {
        case .trouble:
            isTroubleOnly.toggle()
            offset = 0
        case .up: offset -= 1
        case .down: offset += 1
        case .pageUp: offset -= page
        case .pageDown: offset += page
        case .first: offset = 0
        case .last: offset = .max / 2
        case .quit, .other: return false
        }
        return true
    }

    /// How many there are, and how many of them are not well; the rest of it may be cut off.
    static func summary(_ services: [ServiceView], at address: AdminAddress) -> String {
        let backends = services.flatMap(\.backends)
        let down = backends.count { !$0.isUp }
        let active = services.reduce(0) { $0 + $1.traffic.active }
        let time = Timestamp.now().dropFirst("2026-01-31T".count).prefix("12:00:00".count)
        return "services: \(services.count), backends: \(backends.count)\(down > 0 ? ", DOWN: \(down)" : ""), "
            + "active: \(active)  \(address)  \(time) UTC"
    }

    /// What fills a screen of this size, and nothing beyond it.
    mutating func lines(size: (columns: Int, lines: Int), inColour: Bool) -> [String] {
        let title = TextCell(WatchView.summary(services, at: address)).cut(to: size.columns)
        let shownServices = isTroubleOnly ? services.filter(\.isTroubled) : services
        let table = StatisticsTables.rates(shownServices, rates)
        var lines = table.lines(width: size.columns, inColour: inColour)
        let heading = lines.removeFirst()
        page = max(1, size.lines - 4)
        offset = max(0, min(offset, lines.count - page))
        let shown = Array(lines[offset..<min(lines.count, offset + page)])
        // From the left what is needed first: a narrow terminal cuts the rest off.
        var status = "q ends, d \(isTroubleOnly ? "shows all again" : "only what is down"), every \(interval)"
        if shownServices.isEmpty {
            status = "\(isTroubleOnly ? "Nothing is down" : "There are no services"). \(status)"
        }
        if lines.count > page {
            status = "\(offset + 1)-\(offset + shown.count) of \(lines.count) (arrows, space, b), \(status)"
        }
        let last = failure.map { TextCell($0, .bad) } ?? TextCell(status)
        let all = [title.printed(inColour: inColour), ""] + [heading] + shown
        return Array(all.prefix(max(0, size.lines - 1))) + [last.cut(to: size.columns).printed(inColour: inColour)]
    }
}
