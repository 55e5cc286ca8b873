// Owns the files that the dashboard consists of: which there are, of what type each is, and the version of its bytes.
// They lie in Page/ as they are, and the package embeds them into the program.
// Leaves to others: serving them (Admin/DashboardResource), and what they do in a browser (Page/main.js).

/// A file of the dashboard.
struct DashboardFile: Sendable {
    /// As in its path, `/dashboard/{name}`.
    let name: String
    let contentType: String
    let bytes: [UInt8]
    /// Changes with the bytes alone: who has this one has the file.
    let version: String

    private init(_ name: String, _ contentType: String, _ bytes: [UInt8]) {
        self.name = name
        self.contentType = contentType
        self.bytes = bytes
        version = DashboardFile.version(of: bytes)
    }

    /// The page itself, at `/dashboard`.
    static let page = DashboardFile("dashboard.html", "text/html; charset=utf-8", PackageResources.dashboard_html)

    /// What the page asks for.
    static let parts: [DashboardFile] = [
        DashboardFile("icon.svg", "image/svg+xml", PackageResources.icon_svg),
        style("style.css", PackageResources.style_css),
        style("services.css", PackageResources.services_css),
        script("actions.js", PackageResources.actions_js),
        script("api.js", PackageResources.api_js),
        script("change-forms.js", PackageResources.change_forms_js),
        script("configuration.js", PackageResources.configuration_js),
        script("dom.js", PackageResources.dom_js),
        script("events.js", PackageResources.events_js),
        script("format.js", PackageResources.format_js),
        script("main.js", PackageResources.main_js),
        script("model.js", PackageResources.model_js),
        script("notices.js", PackageResources.notices_js),
        script("overview.js", PackageResources.overview_js),
        script("rings.js", PackageResources.rings_js),
        script("service-card.js", PackageResources.service_card_js),
        script("services.js", PackageResources.services_js),
        script("sessions.js", PackageResources.sessions_js),
        script("sparkline.js", PackageResources.sparkline_js),
        script("timeline.js", PackageResources.timeline_js),
    ]

    /// The part of this name.
    static func part(named name: String) -> DashboardFile? { parts.first { $0.name == name } }

    private static func style(_ name: String, _ bytes: [UInt8]) -> DashboardFile {
        DashboardFile(name, "text/css; charset=utf-8", bytes)
    }

    private static func script(_ name: String, _ bytes: [UInt8]) -> DashboardFile {
        DashboardFile(name, "text/javascript; charset=utf-8", bytes)
    }

    /// FNV-1a over 64 bits, in hexadecimal: enough to tell apart what two builds contain.
    static func version(of bytes: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
