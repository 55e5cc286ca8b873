// How input is shown in messages: recognisable, on one line, short.

import ShuttleEngine
import Testing

@Suite struct QuotedTests {
    @Test(arguments: [
        ("", "\"\""),
        ("web", "\"web\""),
        ("a b", "\"a b\""),
        ("say \"hi\"", "\"say \\\"hi\\\"\""),
        ("back\\slash", "\"back\\\\slash\""),
        ("a\nb\rc\td", "\"a\\nb\\rc\\td\""),
        ("\u{1B}[31m", "\"\\u{1b}[31m\""),
        ("\u{0}\u{7F}\u{85}", "\"\\u{0}\\u{7f}\\u{85}\""),
        ("bücher 日本", "\"bücher 日本\""),
        // Turns the direction of what follows around.
        ("a\u{202E}b", "\"a\\u{202e}b\""),
        ("\u{2028}\u{A0}\u{E000}", "\"\\u{2028}\\u{a0}\\u{e000}\""),
    ])
    func quotes(text: String, quoted: String) {
        #expect(Quoted(text).description == quoted)
        #expect("\(Quoted(text[...]))" == quoted)
    }

    @Test func cutsOff() {
        let fits = String(repeating: "é", count: Quoted.lengthMax)
        #expect(Quoted(fits).description == "\"\(fits)\"")
        let long = String(repeating: "x", count: 1_000_000)
        let shown = String(repeating: "x", count: Quoted.lengthMax)
        #expect(Quoted(long).description == "\"\(shown)\"… (1000000 bytes)")
        #expect(Quoted(fits + "é").description == "\"\(fits)\"… (162 bytes)")
    }
}
